use super::*;

#[test]
fn values_are_read() {
    let text = r#" {"a": [1, -2, 1.5, 1e2, true, false, null], "é": "x\n\u00e9\ud83d\ude00\/", "a": 99999999999999999999} "#;
    let Json::Object(members) = parse(text.as_bytes()).unwrap() else {
        panic!("an object")
    };
    assert_eq!(
        members,
        [
            ("a".to_owned(), Json::Integer(99_999_999_999_999_999_999)),
            ("é".to_owned(), Json::from("x\né😀/")),
        ]
    );
    assert_eq!(
        parse(b"[1,-2,1.0,1e2,{},[],-0]").unwrap(),
        Json::Array(vec![
            Json::Integer(1),
            Json::Integer(-2),
            Json::Float(1.0),
            Json::Float(100.0),
            Json::Object(vec![]),
            Json::Array(vec![]),
            Json::Integer(0),
        ])
    );
    assert_eq!(parse(b"1e999").unwrap(), Json::Float(f64::INFINITY));
    assert_eq!(parse("\u{feff}{}".as_bytes()).unwrap(), Json::Object(vec![]));
}

#[test]
fn errors_are_those_of_cpython() {
    let cases: &[(&str, usize, &str)] = &[
        ("{bad", 1, EXPECTING_NAME),
        (r#"{"a":"b""#, 8, EXPECTING_COMMA),
        (r#"{"a":"b",}"#, 9, EXPECTING_NAME),
        ("[1,]", 3, EXPECTING_VALUE),
        (r#"{"a" 1}"#, 5, EXPECTING_COLON),
        (r#"{"a":1 "b":2}"#, 7, EXPECTING_COMMA),
        ("[1 2]", 3, EXPECTING_COMMA),
        (r#"{"a":"b"#, 5, UNTERMINATED),
        (r#""a\x""#, 2, "Invalid \\escape"),
        (r#""\u12""#, 2, INVALID_UNICODE),
        (r#""\u12zz""#, 2, INVALID_UNICODE),
        ("\"a\tb\"", 2, "Invalid control character at"),
        ("{} x", 3, "Extra data"),
        ("nul", 0, EXPECTING_VALUE),
        ("-", 0, EXPECTING_VALUE),
        ("01", 1, "Extra data"),
        ("1.", 1, "Extra data"),
        (".5", 0, EXPECTING_VALUE),
        ("+1", 0, EXPECTING_VALUE),
        ("1e", 1, "Extra data"),
        ("{1:2}", 1, EXPECTING_NAME),
        ("{'a':1}", 1, EXPECTING_NAME),
        ("   ", 3, EXPECTING_VALUE),
        ("\"é\" x", 4, "Extra data"),
        ("{\"é\":1,,}", 7, EXPECTING_NAME),
        (r#"{"a":1}]"#, 7, "Extra data"),
        (r#"{"a":"#, 5, EXPECTING_VALUE),
        (r#"{"a""#, 4, EXPECTING_COLON),
        ("{", 1, EXPECTING_NAME),
        ("[", 1, EXPECTING_VALUE),
        ("[[[", 3, EXPECTING_VALUE),
        (r#""abc\"#, 0, UNTERMINATED),
        // Stricter than CPython: no JSON.
        (r#"{"a":NaN}"#, 5, EXPECTING_VALUE),
        (r#""\ud800""#, 2, INVALID_UNICODE),
    ];
    for (text, position, error) in cases {
        assert_eq!(
            parse(text.as_bytes()),
            Err(JsonError {
                error,
                position: *position
            }),
            "{text}"
        );
    }
    assert_eq!(
        parse(b"\"a\xff\""),
        Err(JsonError {
            error: "Not UTF-8",
            position: 2
        })
    );
}

#[test]
fn depth_and_number_are_bounded() {
    assert_eq!(
        parse("[".repeat(100_000).as_bytes()).unwrap_err().error,
        "Too deeply nested"
    );
    let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
    assert_eq!(parse(many.as_bytes()).unwrap_err().error, "Too many values");
}

#[test]
fn length_is_estimated_without_writing() {
    assert!(!Json::from("abc").is_longer_than(5));
    assert!(Json::from("abc").is_longer_than(4));
    assert!(Json::Array(vec![Json::Null; 10]).is_longer_than(20));
}
