//! Paging (AIP-158): sizes, and opaque tokens that belong to one query.
//!
//! A token carries where the last page ended (a cursor, for there are no
//! offsets) and a fingerprint of the request's other parameters, so that it is
//! refused where they are others. It is a bookmark, not a right: what a reader
//! may see is decided anew on every call, so it needs no signature.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tonic::Status;

use crate::error::invalid_argument;

/// Rows when the caller names no number.
const DEFAULT_SIZE: i32 = 50;
const MAX_SIZE: i32 = 1000;
/// Ours have some hundred bytes; a resume token some thousand.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// How many rows a page has at most: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(i32);

impl PageSize {
    /// 0 means 50; above 1000 is 1000.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is negative.
    pub fn new(page_size: i32) -> Result<Self, Status> {
        match page_size {
            ..0 => Err(invalid_argument("page_size", "must not be negative")),
            0 => Ok(Self(DEFAULT_SIZE)),
            _ => Ok(Self(page_size.min(MAX_SIZE))),
        }
    }

    pub const fn rows(self) -> usize {
        self.0 as usize
    }

    /// One row more than the page has tells whether there is another page.
    pub const fn limit(self) -> i64 {
        self.0 as i64 + 1
    }

    /// Cuts that one row off, and makes the token of the next page from the last
    /// row that stays. Empty on the last page.
    pub fn cut<Row>(
        self,
        rows: &mut Vec<Row>,
        query: &Fingerprint,
        cursor: impl FnOnce(&Row) -> Vec<String>,
    ) -> String {
        if rows.len() <= self.rows() {
            return String::new();
        }
        rows.truncate(self.rows());
        rows.last()
            .map_or_else(String::new, |row| PageToken(cursor(row)).encode(query))
    }
}

/// Of everything in a request but its page, its size and its consistency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// `method` is the RPC's name; `parameters` are what changes its answer, in
    /// an order that stays.
    pub fn new(method: &str, parameters: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in [method].iter().chain(parameters) {
            // With its length, so that ("a", "bc") and ("ab", "c") differ.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        Self(std::array::from_fn(|index| digest[index]))
    }
}

/// Where the page before ended: the sort key of its last row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken(pub Vec<String>);

impl PageToken {
    pub fn encode(self, query: &Fingerprint) -> String {
        encode(&PageBytes {
            fingerprint: query.0.to_vec(),
            cursor: self.0,
        })
    }

    /// `None` for the first page. `N` is how many values the cursor has.
    ///
    /// # Errors
    /// INVALID_ARGUMENT on `page_token` when it is nonsense or of another query.
    pub fn decode<const N: usize>(
        token: &str,
        query: &Fingerprint,
    ) -> Result<Option<[String; N]>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let page: PageBytes = decode(token).ok_or_else(Self::nonsense)?;
        if page.fingerprint != query.0 {
            return Err(invalid_argument(
                "page_token",
                "is of another query: only page_size and consistency may change between pages",
            ));
        }
        page.cursor
            .try_into()
            .map(Some)
            .map_err(|_| Self::nonsense())
    }

    /// For values of a cursor that do not parse.
    pub fn nonsense() -> Status {
        invalid_argument("page_token", "is not a next_page_token of ours")
    }
}

#[derive(prost::Message)]
struct PageBytes {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    cursor: Vec<String>,
}

pub(crate) fn encode(message: &impl prost::Message) -> String {
    URL_SAFE_NO_PAD.encode(message.encode_to_vec())
}

pub(crate) fn decode<M: prost::Message + Default>(token: &str) -> Option<M> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    M::decode(URL_SAFE_NO_PAD.decode(token).ok()?.as_slice()).ok()
}

impl Fingerprint {
    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_coerced_or_refused() {
        assert_eq!(PageSize::new(0).unwrap().rows(), 50);
        assert_eq!(PageSize::new(7).unwrap().rows(), 7);
        assert_eq!(PageSize::new(i32::MAX).unwrap().rows(), 1000);
        assert!(PageSize::new(-1).is_err());
    }

    #[test]
    fn the_last_page_has_no_token_and_a_full_one_names_its_last_row() {
        let query = Fingerprint::new("ListAds", &[]);
        let size = PageSize::new(2).unwrap();
        let cursor = |row: &u8| vec![row.to_string()];
        assert_eq!(size.cut(&mut vec![1, 2], &query, cursor), "");

        let mut rows = vec![1, 2, 3];
        let token = size.cut(&mut rows, &query, cursor);
        assert_eq!(rows, [1, 2]);
        assert_eq!(
            PageToken::decode(&token, &query).unwrap(),
            Some(["2".to_owned()])
        );
    }

    #[test]
    fn a_token_is_refused_by_another_query_and_when_it_is_nonsense() {
        let query = Fingerprint::new("ListAds", &["a", "bc"]);
        let token = PageToken(vec!["x".into()]).encode(&query);
        assert!(PageToken::decode::<1>(&token, &query).is_ok());
        let another = Fingerprint::new("ListAds", &["ab", "c"]);
        for (token, query) in [
            (token.as_str(), &another),
            ("???", &query),
            ("AAAA", &query),
            (&"A".repeat(MAX_TOKEN_BYTES + 1), &query),
        ] {
            assert!(PageToken::decode::<1>(token, query).is_err(), "{token:.20}");
        }
        // Right query, wrong number of values: a token of an older build.
        assert!(PageToken::decode::<2>(&token, &query).is_err());
    }
}
