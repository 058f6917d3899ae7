//! All states and steps, by number, in breadth first order: for the shortest way to a state, and
//! for the states that no way leads on from.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::{part::Part, story::Story};

#[derive(Debug)]
pub(crate) struct Graph<'a, P: Part> {
    part: &'a P,
    states: Vec<P::State>,
    /// By the states' hashes.
    numbers: HashMap<u64, usize>,
    /// Where each state was first reached from, and how; a first one is reached from nowhere.
    reached: Vec<Option<(usize, P::Action)>>,
    /// From where one of the protocol's own steps leads to each state.
    before: Vec<Vec<usize>>,
    /// How many states' steps were taken.
    visited: usize,
}

impl<'a, P: Part> Graph<'a, P> {
    pub(crate) fn of(part: &'a P) -> Self {
        let mut graph = Self {
            part,
            states: Vec::new(),
            numbers: HashMap::new(),
            reached: Vec::new(),
            before: Vec::new(),
            visited: 0,
        };
        for first in part.init_states() {
            graph.reach(first, None);
        }
        graph
    }

    /// Takes all steps of one more state, and gives its number.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let number = self.visited;
        let state = self.states.get(number)?.clone();
        let mut actions = Vec::new();
        self.part.actions(&state, &mut actions);
        for action in actions {
            let Some(next) = self.part.next_state(&state, action.clone()) else {
                continue;
            };
            let is_own = !self.part.is_fate(&action);
            let next = self.reach(next, Some((number, action)));
            if is_own {
                self.before[next].push(number);
            }
        }
        self.visited += 1;
        Some(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }

    /// The promise that a state breaks.
    pub(crate) fn broken(&self, number: usize) -> Option<&'static str> {
        let promises = self.part.properties().into_iter();
        let broken =
            |it: &stateright::Property<P>| !(it.condition)(self.part, &self.states[number]);
        promises.filter(broken).map(|it| it.name).next()
    }

    /// The first state from which the protocol does not come to its end by itself. One goes back
    /// from the ends; what is not met then is stuck.
    pub(crate) fn stuck(&self) -> Option<usize> {
        let ends = self.states.iter().map(|state| self.part.is_done(state));
        let mut ends: Vec<bool> = ends.collect();
        let mut open: Vec<usize> = (0..ends.len()).filter(|number| ends[*number]).collect();
        while let Some(number) = open.pop() {
            for from in &self.before[number] {
                if !std::mem::replace(&mut ends[*from], true) {
                    open.push(*from);
                }
            }
        }
        ends.iter().position(|ends| !ends)
    }

    pub(crate) fn story(&self, end: usize) -> Story {
        let mut path = vec![(self.states[end].clone(), None)];
        let mut number = end;
        while let Some((from, action)) = &self.reached[number] {
            path.push((self.states[*from].clone(), Some(action.clone())));
            number = *from;
        }
        path.reverse();
        Story::of(path)
    }

    fn reach(&mut self, state: P::State, from: Option<(usize, P::Action)>) -> usize {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let number = self.states.len();
        let known = *self.numbers.entry(hasher.finish()).or_insert(number);
        if known < number {
            assert!(self.states[known] == state, "two states have the same hash");
            return known;
        }
        self.states.push(state);
        self.reached.push(from);
        self.before.push(Vec::new());
        number
    }
}
