//! A release of the schema: the shapes of `proto/` as descriptors, and golden bytes of each event
//! version that has none yet. Later shapes are held against them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use prost_reflect::DescriptorPool;
use protox::Compiler;

use crate::{compatible, golden};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn path() -> PathBuf {
    root().join("schemas/released.binpb")
}

/// Below a folder, relative to `root`.
fn proto_files(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(proto_files(root, &path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path.strip_prefix(root).unwrap().to_owned());
        }
    }
    files.sort();
    files
}

/// Of every file of ours, events and API alike, with what they import.
fn todays_shapes() -> Vec<u8> {
    let proto = root().join("proto");
    let mut compiler = Compiler::new([&proto]).unwrap();
    compiler.include_imports(true);
    compiler
        .open_files(proto_files(&proto, &proto.join("compline")))
        .unwrap();
    compiler.encode_file_descriptor_set()
}

pub(crate) fn released() -> DescriptorPool {
    DescriptorPool::decode(fs::read(path()).unwrap().as_slice()).unwrap()
}

#[test]
fn nothing_that_was_released_is_broken() {
    let now = DescriptorPool::decode(todays_shapes().as_slice()).unwrap();
    let breaks = compatible::breaks(&released(), &now, "compline");
    let breaks: Vec<String> = breaks.iter().map(ToString::to_string).collect();
    assert!(
        breaks.is_empty(),
        "docs/schema.md has how shapes are changed; these changes break what was released:\n{}",
        breaks.join("\n")
    );
}

/// Not a test: `dev/release-schema` runs it.
#[test]
#[ignore = "it writes into schemas/"]
fn take_todays_shapes_as_released() {
    nothing_that_was_released_is_broken();
    golden::write_new();
    fs::write(path(), todays_shapes()).unwrap();
}
