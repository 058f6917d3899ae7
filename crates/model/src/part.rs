//! What every model of a part of the protocol is.

use std::fmt::{Debug, Display};
use std::hash::Hash;

use stateright::Model;

/// A part of the protocol: its states, its steps, its promises (`properties`, all of them
/// `always`), and when it is done.
///
/// Steps of fate (a crash, a lost answer, a pause, a restore) are bounded in number, so that there
/// are finitely many states; the protocol's own steps are not.
pub(crate) trait Part: Model<State: State, Action: Step> + Send + Sync + 'static {
    /// Whether nothing is left to do: all that was to be applied is.
    fn is_done(&self, state: &Self::State) -> bool;

    /// Whether fate does it. The protocol must come to its end without.
    fn is_fate(&self, action: &Self::Action) -> bool;
}

/// Displayed in one line, as in a story.
pub(crate) trait State: Clone + Eq + Hash + Debug + Display + Send + Sync {}

impl<T: Clone + Eq + Hash + Debug + Display + Send + Sync> State for T {}

/// Displayed as a sentence.
pub(crate) trait Step: Clone + Eq + Debug + Display + Send + Sync {}

impl<T: Clone + Eq + Debug + Display + Send + Sync> Step for T {}
