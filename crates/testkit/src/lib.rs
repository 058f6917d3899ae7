//! compline-testkit
