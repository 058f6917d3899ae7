//! compline-activity
