//! Who reads an engine's outputs, as far as numbers go.

use std::fmt;

/// An output in the outbox and in the log; it goes by the input that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Output {
    /// Its outputs are numbered by themselves: 0, while the guards hold.
    pub(crate) producer: usize,
    pub(crate) number: u8,
    pub(crate) about: char,
}

/// The model of the projector shows that rows and mark move together; what a reader takes follows
/// from the log alone then, so here it takes each record as soon as it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    marks: [Option<u8>; 2],
    pub(crate) applied: Vec<char>,
    /// At a hole.
    pub(crate) has_stopped: bool,
}

impl Reader {
    /// `readmodel::mark`.
    pub(crate) fn take(&mut self, output: Output) {
        let Output { number, about, .. } = output;
        let mark = &mut self.marks[output.producer];
        match *mark {
            _ if self.has_stopped => {}
            Some(mark) if number <= mark => {}
            Some(mark) if number > mark + 1 => self.has_stopped = true,
            _ => {
                *mark = Some(number);
                self.applied.push(about);
            }
        }
    }

    /// Whether what stands in the log was applied: not when it was taken for a repeat.
    pub(crate) fn has(&self, about: char) -> bool {
        self.has_stopped || self.applied.contains(&about)
    }

    pub(crate) fn has_twice(&self) -> bool {
        let twice = |(at, about)| self.applied[..at].contains(about);
        self.applied.iter().enumerate().any(twice)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.about, self.number)
    }
}

/// `a1 b2`
pub(crate) fn list(outputs: &[Output]) -> String {
    let outputs: Vec<_> = outputs.iter().map(Output::to_string).collect();
    outputs.join(" ")
}
