//! compline-eventlog
