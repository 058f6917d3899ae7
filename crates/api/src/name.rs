//! Resource names (AIP-122): a collection, a slash and an id.
//!
//! The tenant stands in no name but its own: it comes from the caller's key
//! alone, so a name cannot point into another tenant's data.

use tonic::Status;

use crate::error::invalid_argument;

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    Ads,
    Accounts,
    Notifications,
    ApiKeys,
    Tenants,
}

/// Bytes; Meta's ids have 20 digits at most, but unknown ones must survive.
const MAX_ID_BYTES: usize = 512;

impl Collection {
    const ALL: [Collection; 5] = [
        Collection::Ads,
        Collection::Accounts,
        Collection::Notifications,
        Collection::ApiKeys,
        Collection::Tenants,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Collection::Ads => "ads",
            Collection::Accounts => "accounts",
            Collection::Notifications => "notifications",
            Collection::ApiKeys => "apiKeys",
            Collection::Tenants => "tenants",
        }
    }

    const fn resource_type(self) -> &'static str {
        match self {
            Collection::Ads => "compline/Ad",
            Collection::Accounts => "compline/Account",
            Collection::Notifications => "compline/Notification",
            Collection::ApiKeys => "compline/ApiKey",
            Collection::Tenants => "compline/Tenant",
        }
    }

    pub fn name(self, id: &str) -> String {
        format!("{}/{id}", self.as_str())
    }

    /// The id in `name`; `field` is where the caller wrote it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT on `field` when it is not a name of this collection.
    pub fn id<'n>(self, field: &str, name: &'n str) -> Result<&'n str, Status> {
        let expected = || {
            let found: String = name.chars().take(80).collect();
            let collection = self.as_str();
            invalid_argument(field, format!("expected {collection}/ID, found {found:?}"))
        };
        let (collection, id) = name.split_once('/').ok_or_else(expected)?;
        let plausible = !id.is_empty()
            && id.len() <= MAX_ID_BYTES
            && !id
                .chars()
                .any(|c| c == '/' || c.is_whitespace() || c.is_control());
        if collection != self.as_str() || !plausible {
            return Err(expected());
        }
        Ok(id)
    }
}

/// For error details; empty when the name is of no collection of ours.
pub(crate) fn resource_type(name: &str) -> &'static str {
    let collection = name.split('/').next().unwrap_or_default();
    Collection::ALL
        .into_iter()
        .find(|known| known.as_str() == collection)
        .map_or("", Collection::resource_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_is_written() {
        for collection in Collection::ALL {
            let name = collection.name("23849203842934");
            assert_eq!(collection.id("name", &name).unwrap(), "23849203842934");
        }
    }

    #[test]
    fn what_is_not_a_name_of_the_collection_is_refused() {
        let long = format!("ads/{}", "9".repeat(513));
        for wrong in [
            "",
            "ads",
            "ads/",
            "accounts/1",
            "ads/1/2",
            "ads/1\0",
            "ads/a b",
            "/ads/1",
            &long,
        ] {
            let status = Collection::Ads.id("name", wrong).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{wrong:?}");
        }
    }
}
