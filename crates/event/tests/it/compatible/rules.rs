//! Each rule on a pair of shapes that breaks it, and on what it lets through.

use prost_reflect::DescriptorPool;
use protox::{
    Compiler,
    file::{File, FileResolver},
};

use super::breaks;

struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        File::from_source(name, &self.0)
    }
}

fn pool(source: &str) -> DescriptorPool {
    let mut compiler = Compiler::with_file_resolver(Source(source.to_owned()));
    compiler.open_file("made_up.proto").unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

/// What is broken between two bodies of `package made.up.v1`, `rule at`, the package left out.
fn broken(syntax: &str, released: &str, now: &str) -> Vec<String> {
    let shapes = |body: &str| {
        pool(&format!(
            "syntax = \"{syntax}\";\npackage made.up.v1;\n{body}"
        ))
    };
    breaks(&shapes(released), &shapes(now), "made.up")
        .iter()
        .map(|found| {
            let text = found.to_string();
            assert!(text.starts_with("made.up.v1."), "{text}");
            format!(
                "{} {}",
                found.rule,
                found.at.trim_start_matches("made.up.v1.")
            )
        })
        .collect()
}

#[test]
fn what_is_only_added_breaks_nothing() {
    let released = "message M { string a = 1; oneof way { string b = 2; } E e = 3; reserved 9; }
                    enum E { E_NONE = 0; } service S { rpc Call(M) returns (M); }";
    let now = "message M { string a = 1; oneof way { string b = 2; int32 c = 4; } E e = 3;
                           optional bytes d = 5; map<string, M> f = 6; reserved 9, 10; reserved \"x\"; }
               message N {} enum E { E_NONE = 0; E_SOME = 1; }
               service S { rpc Call(M) returns (M); rpc Again(N) returns (N); }";
    assert_eq!(broken("proto3", released, now), [""; 0]);
}

#[test]
fn what_goes_leaves_its_number_and_name_reserved() {
    let (released, kept) = ("message M { string a = 1; string b = 2; }", "string a = 1;");
    for (now, rules) in [
        ("reserved 2; reserved \"b\";", &[][..]),
        (
            "reserved \"b\";",
            &["FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED M.b"],
        ),
        ("reserved 2;", &["FIELD_NO_DELETE_UNLESS_NAME_RESERVED M.b"]),
        ("string b = 3;", &["FIELD_SAME_NUMBER M.b"]),
    ] {
        let now = format!("message M {{ {kept} {now} }}");
        assert_eq!(broken("proto3", released, &now), rules, "{now}");
    }
    let released = "enum E { E_NONE = 0; E_GONE = 1; }";
    for (now, rules) in [
        ("reserved 1; reserved \"E_GONE\";", &[][..]),
        (
            "reserved \"E_GONE\";",
            &["ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED E_GONE"],
        ),
        (
            "reserved 1;",
            &["ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED E_GONE"],
        ),
        ("E_OTHER = 1;", &["ENUM_VALUE_SAME_NAME E_GONE"]),
    ] {
        let now = format!("enum E {{ E_NONE = 0; {now} }}");
        let broken: Vec<String> = broken("proto3", released, &now);
        assert_eq!(broken, rules, "{now}");
    }
}

#[test]
fn what_is_reserved_stays_reserved() {
    let both = "MESSAGE_NO_DELETE M";
    for (released, now, rule) in [
        (
            "message M { reserved 4 to 6; }",
            "message M { reserved 4, 6; }",
            "RESERVED_MESSAGE_NO_DELETE M",
        ),
        (
            "message M { reserved \"a\"; }",
            "message M {}",
            "RESERVED_MESSAGE_NO_DELETE M",
        ),
        (
            "enum E { Z = 0; reserved 4 to 6; }",
            "enum E { Z = 0; reserved 4; }",
            "RESERVED_ENUM_NO_DELETE E",
        ),
        (
            "enum E { Z = 0; reserved \"A\"; }",
            "enum E { Z = 0; }",
            "RESERVED_ENUM_NO_DELETE E",
        ),
        ("message M {}", "", both),
        ("enum E { Z = 0; }", "", "ENUM_NO_DELETE E"),
    ] {
        assert_eq!(broken("proto3", released, now), [rule], "{now}");
    }
}

#[test]
fn a_field_stays_what_it_was() {
    for (released, now, rule) in [
        ("string a = 1;", "bytes a = 1;", "FIELD_SAME_TYPE"),
        ("int32 a = 1;", "int64 a = 1;", "FIELD_SAME_TYPE"),
        (
            "map<string, int32> a = 1;",
            "map<string, int64> a = 1;",
            "FIELD_SAME_TYPE",
        ),
        ("M a = 1;", "N a = 1;", "FIELD_SAME_TYPE"),
        ("E a = 1;", "F a = 1;", "FIELD_SAME_TYPE"),
        ("string a = 1;", "string b = 1;", "FIELD_SAME_NAME"),
        (
            "string a = 1;",
            "string a = 1 [json_name = \"b\"];",
            "FIELD_SAME_JSON_NAME",
        ),
        (
            "string a = 1;",
            "repeated string a = 1;",
            "FIELD_SAME_CARDINALITY",
        ),
        // Nothing given and nought given are told apart, or no longer.
        (
            "optional int32 a = 1;",
            "int32 a = 1;",
            "FIELD_SAME_CARDINALITY",
        ),
        (
            "optional int32 a = 1;",
            "oneof way { int32 a = 1; }",
            "FIELD_SAME_ONEOF",
        ),
        (
            "oneof way { int32 a = 1; }",
            "oneof how { int32 a = 1; }",
            "FIELD_SAME_ONEOF",
        ),
    ] {
        let others = "message N {} enum E { E_Z = 0; } enum F { F_Z = 0; }";
        let shapes = |field: &str| format!("message M {{ {field} }} {others}");
        let broken = broken("proto3", &shapes(released), &shapes(now));
        assert_eq!(broken, [format!("{rule} M.a")], "{now}");
    }
}

#[test]
fn what_is_required_stays_so_and_nothing_becomes_it() {
    let none = "message M { optional string b = 2; }";
    let one = "message M { required string a = 1; optional string b = 2; }";
    let gone = "message M { optional string b = 2; reserved 1; reserved \"a\"; }";
    let may = "message M { optional string a = 1; optional string b = 2; }";
    for (released, now, rule) in [
        (none, one, "MESSAGE_SAME_REQUIRED_FIELDS M.a"),
        (one, gone, "MESSAGE_SAME_REQUIRED_FIELDS M.a"),
        (one, may, "FIELD_SAME_CARDINALITY M.a"),
        (may, one, "FIELD_SAME_CARDINALITY M.a"),
    ] {
        assert_eq!(broken("proto2", released, now), [rule], "{now}");
    }
}

#[test]
fn a_call_stays_what_it_was() {
    let shapes = |calls: &str| format!("message M {{}} message N {{}} {calls}");
    let released = shapes("service S { rpc C(M) returns (M); }");
    for (now, rule) in [
        ("", "SERVICE_NO_DELETE S"),
        ("service S {}", "RPC_NO_DELETE S.C"),
        (
            "service S { rpc C(N) returns (M); }",
            "RPC_SAME_REQUEST_TYPE S.C",
        ),
        (
            "service S { rpc C(M) returns (N); }",
            "RPC_SAME_RESPONSE_TYPE S.C",
        ),
        (
            "service S { rpc C(stream M) returns (M); }",
            "RPC_SAME_CLIENT_STREAMING S.C",
        ),
        (
            "service S { rpc C(M) returns (stream M); }",
            "RPC_SAME_SERVER_STREAMING S.C",
        ),
    ] {
        assert_eq!(broken("proto3", &released, &shapes(now)), [rule], "{now}");
    }
}
