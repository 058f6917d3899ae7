//! compline-query
