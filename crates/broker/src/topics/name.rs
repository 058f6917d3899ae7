use std::borrow::Borrow;
use std::fmt;

/// A topic's name by Kafka's rule: 1–249 of `[a-zA-Z0-9._-]`, and neither `.` nor `..`. Nothing
/// in it can lead out of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicName(String);

/// The reason, for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadName(pub(crate) &'static str);

impl TopicName {
    pub(crate) fn parse(name: &str) -> Result<TopicName, BadName> {
        if name.is_empty() || name.len() > 249 {
            return Err(BadName("a topic name has 1 to 249 characters"));
        }
        if name == "." || name == ".." {
            return Err(BadName("a topic name is neither . nor .."));
        }
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        {
            return Err(BadName(
                "a topic name is made of ASCII letters, digits, '.', '_' and '-'",
            ));
        }
        Ok(TopicName(name.to_owned()))
    }

    /// Whether the two differ in nothing but `.` and `_`.
    pub(crate) fn collides(&self, other: &TopicName) -> bool {
        let plain = |name: &TopicName| name.0.replace('.', "_");
        plain(self) == plain(other)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::TopicName;

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "a\0b",
            "ä",
            "a b",
            &"x".repeat(250),
        ] {
            assert!(TopicName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "...", "A-b_c.9", &"x".repeat(249)] {
            assert_eq!(TopicName::parse(good).unwrap().as_str(), good);
        }
    }
}
