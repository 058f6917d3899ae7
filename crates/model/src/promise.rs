//! What is promised, in the words of the design.

pub(crate) const LOST: &str = "nothing is lost";
pub(crate) const DOUBLED: &str = "nothing is doubled";
pub(crate) const LOST_OR_MOVED: &str = "nothing is lost or out of order";
pub(crate) const ORDER: &str = "what is decided is read in that order";
pub(crate) const KEY_ORDER: &str = "each key in log order, once";
pub(crate) const HOLE: &str = "no reader meets a hole";
pub(crate) const FENCED: &str = "who was fenced writes nothing";
pub(crate) const EQUAL: &str = "what is equal is not taken for different";
pub(crate) const DIFFERENT: &str = "what differs is not taken for equal";
pub(crate) const PAST: &str = "no reader goes back";
pub(crate) const ACKNOWLEDGED: &str = "nothing acknowledged is lost";
pub(crate) const READ: &str = "what was read stands in the log";

/// The one that no state can break: whatever fate did, the protocol's own steps lead to the end.
pub(crate) const STUCK: &str = "it is never stuck";
