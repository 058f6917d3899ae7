//! compline-ingress
