//! Secrets that are printed in the documentation, so that a first try needs no vendor's account.
//! Whoever can reach an ingress that takes them can write what they like into the log, so it takes
//! them on a loopback address only, and only when told to.

use compline_runtime::Secret;

use crate::config::{MetaConfig, StripeConfig};

pub const META_APP_SECRET: &str = "sample-app-secret";
pub const META_VERIFY_TOKEN: &str = "sample-verify-token";
pub const STRIPE_SIGNING_SECRET: &str = "whsec_sample";

/// Settings with which the sample tools' deliveries are taken.
pub fn meta() -> MetaConfig {
    MetaConfig {
        app_secrets: vec![Secret::new(META_APP_SECRET)],
        verify_tokens: vec![Secret::new(META_VERIFY_TOKEN)],
    }
}

/// As [`meta`].
pub fn stripe() -> StripeConfig {
    StripeConfig {
        signing_secrets: vec![Secret::new(STRIPE_SIGNING_SECRET)],
    }
}

pub(crate) fn is_sample(secret: &Secret) -> bool {
    [META_APP_SECRET, META_VERIFY_TOKEN, STRIPE_SIGNING_SECRET].contains(&secret.expose())
}
