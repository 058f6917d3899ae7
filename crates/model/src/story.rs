//! A counterexample, to be read.

use std::fmt;

/// Steps from the beginning, each with the state that it led to.
#[derive(Clone, Debug)]
pub struct Story {
    began: String,
    steps: Vec<(String, String)>,
}

impl Story {
    /// Each state with the action that follows; the last has none.
    pub(crate) fn of<S: fmt::Display, A: fmt::Display>(path: Vec<(S, Option<A>)>) -> Self {
        let (states, actions): (Vec<_>, Vec<_>) = path
            .into_iter()
            .map(|(state, action)| (state.to_string(), action.map(|action| action.to_string())))
            .unzip();
        let mut states = states.into_iter();
        let began = states.next().unwrap_or_default();
        let steps = actions.into_iter().flatten().zip(states).collect();
        Self { began, steps }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      {}", self.began)?;
        for (number, (step, state)) in (1..).zip(&self.steps) {
            writeln!(f, "{number:>4}. {step}")?;
            writeln!(f, "      {state}")?;
        }
        Ok(())
    }
}
