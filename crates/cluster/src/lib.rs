//! compline-cluster
