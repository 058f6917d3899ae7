//! compline-ad
