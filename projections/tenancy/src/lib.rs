//! compline-tenancy
