//! What a start is doing, for whoever waits.

use std::{future::Future, io::IsTerminal as _, time::Duration};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// Tells of each step on standard error: moving on a terminal, a line each
/// elsewhere; or nothing.
#[derive(Debug, Clone, Copy)]
pub enum Steps {
    Shown,
    Silent,
}

impl Steps {
    /// Does `step`, and says that it is being done and how long it took. A failure
    /// names it.
    pub async fn step<T>(self, name: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
        let began = Instant::now();
        let spinner = self.spinner(name);
        let done = step.await;
        spinner.finish_and_clear();
        if done.is_ok() {
            self.say(name, began.elapsed());
        }
        done.with_context(|| format!("starting: {name}"))
    }

    fn spinner(self, name: &str) -> ProgressBar {
        if matches!(self, Steps::Silent) || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}")
            .expect("the template is part of the source");
        let spinner = ProgressBar::new_spinner().with_style(style);
        spinner.set_message(name.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }

    fn say(self, name: &str, took: Duration) {
        if matches!(self, Steps::Shown) {
            eprintln!("  {name}: {:.1} s", took.as_secs_f64());
        }
    }
}
