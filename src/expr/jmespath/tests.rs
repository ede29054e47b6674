//! What must hold for any text.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn an_explosion_is_cut_off() {
    let list = json!((0..200).collect::<Vec<_>>());
    let nested = Expression::compile("map(&map(&map(&map(&map(&@, [1,2,3,4]), [1,2,3,4]), @), @), @)");
    assert!(nested.is_err(), "numbers are no expressions");
    let text = format!("{}`1`{}", "not_null(".repeat(100), ")".repeat(100));
    assert!(Expression::compile(&text).is_ok());
    assert!(Expression::compile(&format!("{}a{}", "(".repeat(5000), ")".repeat(5000))).is_err());
    assert!(Expression::compile(&vec!["a"; 5000].join(".")).is_err());
    let wide = Expression::compile(
        "[@,@,@,@,@,@,@,@][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][].[@,@,@,@,@,@,@,@][][]",
    );
    assert_eq!(wide.unwrap().search(&list), Err(EvalError::Limit));
    for double in [
        "{a: @, b: @}",
        "[@, @]",
        "[{a: @}, {b: @}]",
        "merge({a: @}, {b: @})",
        "join('', [to_string(@), 'x', to_string(@)])",
    ] {
        let text = vec![double; 50].join(" | ");
        let ends = [Ok(()), Err(EvalError::Limit)];
        let found = Expression::compile(&text).unwrap().search(&list).map(|_| ());
        assert!(ends[1..].contains(&found), "{double}: {found:?}");
    }
    let doubling = (0..60).fold("'ab'".to_owned(), |inner, _| format!("replace_all({inner}, 'a', 'aab')"));
    assert!(Expression::compile(&doubling).unwrap().search(&list).is_err() || doubling.len() < 10_000);
}

/// The functions are thin over Go's library, so its rules are theirs.
#[test]
fn functions_follow_gos_library() {
    for (text, expected) in [
        // strings.Replace takes a count that is cut to a whole number, and strings.ToUpper changes letter by letter.
        ("replace('aa', 'a', 'b', `-0.5`)", json!("aa")),
        ("replace('aa', 'a', 'b', `1.9`)", json!("ba")),
        ("to_upper('ᾳß')", json!("ᾼß")),
        // regexp.Expand: what is no reference is itself.
        ("regex_replace_all('(a)(b)?', 'ab', '${1.x}$2$')", json!("${1.x}b$")),
        ("regex_replace_all('(?P<n>a)(?P<n>b)', 'ab', '$n')", json!("a")),
        ("regex_match('^[[:alpha:]]\\p{^Greek}$', 'ab')", json!(true)),
        // encoding/base64 ignores the ends of lines and the last bits, and a text has a character for each bad byte.
        ("base64_decode('aG\nl=')", json!("hi")),
        ("length(base64_decode('4oI='))", json!(2)),
        // strconv.ParseFloat, and encoding/json, which reads all numbers as floats.
        ("to_number('0x1p4')", json!(16)),
        ("to_number('1_000')", json!(1000)),
        ("to_number('1e400')", json!(null)),
        ("to_string(parse_json('[9007199254740993, 12345678901234567890, -0]'))", {
            json!("[9007199254740992,12345678901234567000,-0]")
        }),
        ("to_string(`9007199254740993`)", json!("9007199254740992")),
        // time.Duration wraps around, and a float too large for one is the shortest.
        ("add('2562047h', '1h')", json!("-2562047h34m33.709551616s")),
        ("multiply('999999h', `7`)", json!("-2562047h47m16.854775808s")),
        // resource.Quantity: no digits are zero, and calculating has no bounds.
        ("add('m', '1k')", json!("1k")),
        ("multiply('8Ei', `1000000000000000000000`)", json!("8796093022207999999046325683593750Mi")),
        ("divide('1', `3`)", json!("0")),
        ("divide('1.5Gi', `2`)", json!("768Mi")),
        ("modulo('5Ki', '2Ki')", json!("1Ki")),
        // time.Parse and time.Format.
        ("time_parse('__2 2006', ' 44 2024')", json!("2024-02-13T00:00:00Z")),
        ("time_add('0000-01-01T00:00:00Z', '-1h')", json!("-0001-12-31T23:00:00Z")),
        // semver.ParseRange.
        ("semver_compare('1.1.0', '1.x.x')", json!(false)),
        ("semver_compare('1.1.0', '1.x')", json!(true)),
    ] {
        assert_eq!(Expression::compile(text).unwrap().search(&json!({})), Ok(expected), "{text}");
    }
    for bad in [
        "modulo('8Ei', '7')",
        "modulo(`1e21`, `3`)",
        "time_parse('3 PM', '3 pm')",
        "semver_compare('1.0.0', '1.*')",
        "regex_match('[[:foo:]]', 'a')",
        "add('Ei', '1')",
    ] {
        assert!(Expression::compile(bad).unwrap().search(&json!({})).is_err(), "{bad}");
    }
}

#[test]
fn all_functions_are_there() {
    assert_eq!(function_names().count(), 25 + 51, "25 of the standard, and 51 with their own sum");
    let mut names: Vec<&str> = function_names().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 76);
}

#[test]
fn errors_say_where() {
    for (text, offset) in [("a.b ||", 6), ("a[?b==`x`]", 6), ("a b", 2), ("foo(", 4), ("{a 1}", 3)] {
        assert_eq!(Expression::compile(text).unwrap_err().offset, offset, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}]}));
        }
    }

    #[test]
    fn no_plausible_text_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "b", ".", "[", "]", "[?", "[]", "*", "(", ")", "|", "||", "&&", "&", "!", "==", "<", "@", "`1`",
                "`{}`", "'x'", "\"q\"", ",", ":", "1", "-1", "{", "}", " ", "length(", "sort_by(", "join(", "random(",
                "time_add(", "add(", "'1Gi'", "'5m'", "truncate(", "to_string(", "items(", "split(", "`null`", "`[]`",
            ]),
            0..14,
        )
    ) {
        if let Ok(expression) = Expression::compile(&parts.concat()) {
            let _ = expression.search(&json!({"a": [1, {"b": "c"}], "b": {"a": null}}));
        }
    }
}
