//! Generates the event types. protox parses the files, so no protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = [
        "compline/event/envelope/v1/envelope.proto",
        "compline/event/envelope/v1/precondition.proto",
        "compline/event/webhook/v1/webhook.proto",
        "compline/event/ad/v1/ad.proto",
        "compline/event/account/v1/account.proto",
        "compline/event/tenant/v1/tenant.proto",
        "compline/event/activity/v1/activity.proto",
    ];
    let descriptors = protox::compile(files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.binpb"), descriptors.encode_to_vec())?;
    prost_build::Config::new()
        .include_file("proto.rs")
        .bytes(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
