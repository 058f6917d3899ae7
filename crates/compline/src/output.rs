//! What commands print: tables for people, one JSON value a line for machines.
//! Standard output is written here and nowhere else.

use std::io::{self, BufWriter, StdoutLock, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// Standard output, held for the whole command: a tool that prints millions of
/// lines must neither lock nor flush for each.
#[derive(Debug)]
pub struct Output {
    json: bool,
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self {
            json,
            out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        }
    }

    /// Whether the reader is a machine.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Without the spaces at its end, which an empty last value leaves.
    pub fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        self.out.write_all(text.as_ref().trim_end().as_bytes())?;
        self.out.write_all(b"\n")
    }

    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// A table without frames, so that columns can be cut and pasted. Says so
    /// when there is nothing.
    pub fn table(&mut self, columns: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        if rows.is_empty() {
            return self.line("nothing found");
        }
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(columns.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            self.line(line)?;
        }
        Ok(())
    }

    /// Something that the reader should know beside the answer; never part of it.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        self.flush()?;
        writeln!(io::stderr(), "note: {text}")
    }

    /// Name and value, one pair a line.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) -> io::Result<()> {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in pairs {
            self.line(format!("{name:width$}  {}", printable(value)))?;
        }
        Ok(())
    }

    /// Shows what stands so far; for output that follows something.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Texts come from webhooks: a control character must not reach the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(printable("Überschrift"), "Überschrift");
    }
}
