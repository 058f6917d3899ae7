//! compline-conformance
