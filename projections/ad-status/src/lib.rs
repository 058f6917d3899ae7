//! compline-ad-status
