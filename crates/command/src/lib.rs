//! compline-command
