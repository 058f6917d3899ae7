//! A comparison, as people and machines read it.

use std::{io::IsTerminal as _, time::Duration};

use anyhow::{Result, bail};
use compline_event::TenantId;
use compline_readmodel::{
    Generation, Steward,
    compare::{Comparison, Difference, RowDifference, Step, TableComparison},
};
use serde_json::{Value, json};

use crate::{output::Output, show};

/// Tenants that are named of a table; the others are counted.
const TENANTS_SHOWN: usize = 5;

/// # Errors
/// Also when the two differ: scripts decide by it.
pub(in crate::cli) async fn run(
    steward: &mut Steward,
    generation: Generation,
    rows: usize,
    within: Duration,
    out: &mut Output,
) -> Result<()> {
    let is_terminal = std::io::stderr().is_terminal();
    let tell = |step: Step| {
        if is_terminal {
            eprint!("\r\x1b[2K{}", doing(&step));
        }
    };
    let compared = steward.compare(generation, rows, within, &tell).await;
    if is_terminal {
        eprint!("\r\x1b[2K");
    }
    let compared = compared?;
    match out.is_json() {
        true => out.json(&to_json(&compared))?,
        false => tell_people(&compared, out)?,
    }
    out.flush()?;
    if !compared.is_equal() {
        bail!(
            "generation {} differs from the live one, {}",
            compared.candidate,
            compared.live
        );
    }
    Ok(())
}

fn doing(step: &Step) -> String {
    match step {
        Step::Live { behind } => {
            format!("the live generation has {} events to go", count(*behind))
        }
        Step::Candidate { behind } => {
            format!("the other generation has {} events to go", count(*behind))
        }
        Step::Table { name } => format!("comparing {name}"),
    }
}

fn tell_people(compared: &Comparison, out: &mut Output) -> Result<()> {
    let rows = compared
        .tables
        .iter()
        .map(|table| {
            vec![
                table.name.clone(),
                count(table.live_rows),
                count(table.candidate_rows),
                verdict(table),
            ]
        })
        .collect();
    let live = format!("rows of {}", compared.live);
    let candidate = format!("rows of {}", compared.candidate);
    out.table(&["table", &live, &candidate, ""], rows)?;
    for table in compared.tables.iter().filter(|table| !table.is_equal()) {
        out.line("")?;
        show_table(table, compared, out)?;
    }
    out.line("")?;
    out.line(format!("at {}", compared.position))?;
    Ok(())
}

fn verdict(table: &TableComparison) -> String {
    match (table.is_equal(), table.tenants.len()) {
        (true, _) => "equal".to_owned(),
        (false, 0) => "other columns".to_owned(),
        (false, tenants) => format!(
            "{} rows of {tenants} tenant{} differ",
            show::count(table.differing_rows),
            if tenants == 1 { "" } else { "s" }
        ),
    }
}

fn show_table(table: &TableComparison, compared: &Comparison, out: &mut Output) -> Result<()> {
    let name = &table.name;
    if !table.other_columns.is_empty() {
        let columns = table.other_columns.join(", ");
        out.line(format!(
            "{name}: only one of them has the columns {columns}"
        ))?;
    }
    if !table.tenants.is_empty() {
        let shown: Vec<String> = table
            .tenants
            .iter()
            .take(TENANTS_SHOWN)
            .map(tenant)
            .collect();
        let more = match table.tenants.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.line(format!("{name}: differs for {}{more}", shown.join(", ")))?;
    }
    for RowDifference {
        tenant: of,
        key,
        difference,
    } in &table.rows
    {
        let at = format!("{name} {key} of {}", tenant(of));
        match difference {
            Difference::OnlyLive(row) => {
                out.line(format!("  {at}: only in {}: {row}", compared.live))?;
            }
            Difference::OnlyCandidate(row) => {
                out.line(format!("  {at}: only in {}: {row}", compared.candidate))?;
            }
            Difference::Values(values) => {
                for (column, live, candidate) in values {
                    out.line(format!("  {at}: {column} is {live}, and {candidate}"))?;
                }
            }
        }
    }
    let shown = table.rows.len() as u64;
    if shown < table.differing_rows {
        let more = show::count(table.differing_rows - shown);
        out.line(format!("  and {more} rows more (--rows)"))?;
    }
    Ok(())
}

fn to_json(compared: &Comparison) -> Value {
    let tables: Vec<Value> = compared.tables.iter().map(table_json).collect();
    json!({
        "equal": compared.is_equal(),
        "live": compared.live,
        "candidate": compared.candidate,
        "position": compared.position.to_string(),
        "tables": tables,
    })
}

fn table_json(table: &TableComparison) -> Value {
    let rows: Vec<Value> = table.rows.iter().map(row_json).collect();
    json!({
        "table": table.name,
        "liveRows": table.live_rows,
        "candidateRows": table.candidate_rows,
        "otherColumns": table.other_columns,
        "tenants": table.tenants.iter().map(tenant).collect::<Vec<_>>(),
        "differingRows": table.differing_rows,
        "rows": rows,
    })
}

fn row_json(row: &RowDifference) -> Value {
    let (live, candidate) = match &row.difference {
        Difference::OnlyLive(row) => (row.clone(), Value::Null),
        Difference::OnlyCandidate(row) => (Value::Null, row.clone()),
        Difference::Values(values) => {
            let side = |pick: fn(&(String, Value, Value)) -> Value| {
                let columns = values.iter().map(|value| (value.0.clone(), pick(value)));
                Value::Object(columns.collect())
            };
            (side(|value| value.1.clone()), side(|value| value.2.clone()))
        }
    };
    json!({
        "tenant": tenant(&row.tenant),
        "key": row.key,
        "live": live,
        "candidate": candidate,
    })
}

fn tenant(tenant: &Option<TenantId>) -> String {
    tenant.map_or_else(|| "no tenant".to_owned(), |tenant| tenant.to_string())
}

fn count(number: i64) -> String {
    show::count(u64::try_from(number).unwrap_or(0))
}
