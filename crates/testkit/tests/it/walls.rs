//! Who may import whom. A room that is not in the table does not build on others
//! unseen: add it here, and say why in the commit.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// (room, what it may import besides crates from outside). `projections/*` stands
/// for all three.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("event", &[]),
    ("api", &[]),
    ("broker", &[]),
    ("cluster", &[]),
    // It says the protocol again, without the code.
    ("model", &[]),
    ("runtime", &[]),
    ("eventlog", &["event"]),
    ("readmodel", &["event"]),
    // Of runtime, the trace context.
    ("projector", &["event", "eventlog", "readmodel", "runtime"]),
    // An engine's input side is the projector's loop.
    (
        "engine",
        &["event", "eventlog", "readmodel", "projector", "runtime"],
    ),
    ("ad", &["event", "engine", "readmodel"]),
    ("ingress", &["event", "eventlog", "runtime"]),
    ("ad-status", &["event", "readmodel"]),
    ("activity", &["event", "readmodel"]),
    ("tenancy", &["event", "readmodel", "api"]),
    (
        "command",
        &[
            "api",
            "event",
            "eventlog",
            "readmodel",
            "runtime",
            "tenancy",
            "activity",
        ],
    ),
    (
        "query",
        &[
            "api",
            "event",
            "readmodel",
            "runtime",
            "ad-status",
            "activity",
            "tenancy",
        ],
    ),
];

/// These import what they like, and nobody imports them but tests.
const ABOVE: &[&str] = &["compline", "testkit", "conformance", "benches"];

/// Which rooms may see how a projection writes.
const MAY_WRITE: &[&str] = &["compline", "testkit", "benches"];

fn room(package: &str) -> Option<&str> {
    match package {
        "compline" => Some("compline"),
        _ => package.strip_prefix("compline-"),
    }
}

fn members() -> Vec<Package> {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    metadata.packages
}

#[test]
fn no_room_imports_what_it_may_not() {
    let table: BTreeMap<&str, BTreeSet<&str>> = MAY_IMPORT
        .iter()
        .map(|(room, imports)| (*room, imports.iter().copied().collect()))
        .collect();
    let mut wrong = Vec::new();
    for package in members() {
        let importer = room(&package.name).unwrap().to_owned();
        if ABOVE.contains(&importer.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(importer.as_str()) else {
            wrong.push(format!("{importer} is not in the table"));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(imported) = room(&dependency.name) else {
                continue;
            };
            let for_tests = dependency.kind == DependencyKind::Development;
            if for_tests && imported != "compline" {
                continue;
            }
            if !allowed.contains(imported) {
                wrong.push(format!("{importer} imports {imported}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The services read; `apply` and `store` are behind a feature that they do not
/// ask for.
#[test]
fn services_cannot_write_read_models() {
    let projections = ["ad-status", "activity", "tenancy"];
    for package in members() {
        let importer = room(&package.name).unwrap().to_owned();
        if MAY_WRITE.contains(&importer.as_str()) || projections.contains(&importer.as_str()) {
            continue;
        }
        for dependency in &package.dependencies {
            let is_projection = room(&dependency.name).is_some_and(|it| projections.contains(&it));
            if !is_projection || dependency.kind == DependencyKind::Development {
                continue;
            }
            assert!(
                !dependency.uses_default_features
                    && !dependency.features.iter().any(|feature| feature == "write"),
                "{importer} sees how {} writes",
                dependency.name
            );
        }
    }
}
