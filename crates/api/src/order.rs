//! `order_by` (AIP-132): one field, ascending unless ` desc` follows.
//!
//! Ties are always broken by the resource's id in the same direction, so that
//! pages neither repeat nor skip a row.

use tonic::Status;

use crate::error::invalid_argument;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<F> {
    pub field: F,
    pub descending: bool,
}

/// `None` when `order_by` is empty: the method's default.
///
/// # Errors
/// INVALID_ARGUMENT on `order_by` for another field than those of `fields`, more
/// than one, or another word than `asc` or `desc`.
pub fn parse<F: Copy>(order_by: &str, fields: &[(&str, F)]) -> Result<Option<Order<F>>, Status> {
    let words: Vec<&str> = order_by.split_whitespace().collect();
    let (name, descending) = match words[..] {
        [] => return Ok(None),
        [name] | [name, "asc"] => (name, false),
        [name, "desc"] => (name, true),
        _ => return Err(refuse(order_by, fields)),
    };
    let (_, field) = fields
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| refuse(order_by, fields))?;
    Ok(Some(Order {
        field: *field,
        descending,
    }))
}

fn refuse<F>(order_by: &str, fields: &[(&str, F)]) -> Status {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let found: String = order_by.chars().take(80).collect();
    let description = format!(
        "expected one of {}, perhaps with \" desc\"; found {found:?}",
        names.join(", ")
    );
    invalid_argument("order_by", description)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[(&str, u8)] = &[("ad_id", 1), ("update_time", 2)];

    #[test]
    fn one_field_and_its_direction() {
        let order = |field, descending| Some(Order { field, descending });
        assert_eq!(parse("", FIELDS).unwrap(), None);
        assert_eq!(parse("ad_id", FIELDS).unwrap(), order(1, false));
        assert_eq!(
            parse(" update_time  asc ", FIELDS).unwrap(),
            order(2, false)
        );
        assert_eq!(parse("update_time desc", FIELDS).unwrap(), order(2, true));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "name",
            "ad_id DESC",
            "ad_id, update_time",
            "ad_id desc desc",
            "desc",
        ] {
            assert!(parse(wrong, FIELDS).is_err(), "{wrong}");
        }
    }
}
