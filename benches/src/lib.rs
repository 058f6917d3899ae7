//! compline-benches
