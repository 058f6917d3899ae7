//! Generates the gRPC stubs. protox parses the files, so no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// All messages, and the services of one door: reflection shows what is served there.
fn served_by(door: &str, mut set: FileDescriptorSet) -> FileDescriptorSet {
    let package = format!("compline.{door}.v1");
    for file in &mut set.file {
        if file.package() != package {
            file.service.clear();
        }
    }
    set
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = [
        "compline/query/v1/ad_service.proto",
        "compline/query/v1/activity_service.proto",
        "compline/query/v1/tenancy_service.proto",
        "compline/command/v1/tenant_service.proto",
        "compline/command/v1/account_service.proto",
        "compline/command/v1/api_key_service.proto",
        "compline/command/v1/notification_service.proto",
    ];
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    for door in ["query", "command"] {
        let served = served_by(door, descriptors.clone());
        let file = out.join(format!("{door}.binpb"));
        fs::write(file, served.encode_to_vec())?;
    }
    let mut config = prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .include_file("proto.rs")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
