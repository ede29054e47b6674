use super::*;

fn read(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("0", "0"),
        ("1100m", "1100m"),
        ("1000m", "1"),
        ("0.1", "100m"),
        ("1.5Gi", "1536Mi"),
        ("1024", "1024"),
        ("1024Ki", "1Mi"),
        ("2000", "2k"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1e+3", "1e3"),
        ("1E", "1E"),
        ("-1Gi", "-1Gi"),
        ("1.", "1"),
        (".5", "500m"),
        ("0.0000000001", "1n"),
        ("0.5Ki", "512"),
        ("16Ei", "9223372036854775807"),
        ("99999999999999999999", "99999999999999999999"),
        ("1e21", "1e21"),
        ("+7", "7"),
        ("-2Ki", "-2Ki"),
        ("1023", "1023"),
        // Beyond the suffixes there is none, and the power is lost.
        ("1000E", "1"),
    ] {
        assert_eq!(read(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn errors_say_which_part_is_wrong() {
    for bad in ["", "1x", "1 Gi", "1.2.3", "1e+-3", "é", "1GiB"] {
        assert_eq!(Quantity::read(bad), Err(QuantityError::Format), "{bad}");
    }
    for bad in ["--1", "1e", "1ki", "1K", "1mi", "1-", "1ee3"] {
        assert_eq!(Quantity::read(bad), Err(QuantityError::Suffix), "{bad}");
    }
    assert_eq!(Quantity::read("Ei"), Err(QuantityError::Numeric));
}

#[test]
fn no_digits_are_zero() {
    for nothing in ["-", "+", ".", "m", "k", "Gi", "e3", "-.5e-400"] {
        let amount = read(nothing).as_f64();
        assert!(amount.abs() < 1e-8, "{nothing}: {amount}");
    }
}

#[test]
fn amounts_compare_however_written() {
    assert_eq!(read("1Ki"), read("1024"));
    assert!(read("500m") < read("1") && read("1G") < read("1Gi") && read("-1") < read("0"));
    assert!(read("1e400") > read("9223372036854775807"));
    assert!(read("123456789012345678901234567890") > read("999999999999999999999"));
    assert_eq!(read("1Gi").checked_div(&read("2")).unwrap().to_string(), "512Mi");
    assert_eq!(read("1").checked_div(&read("3")).unwrap().to_string(), "0");
    assert_eq!(read("100m").checked_mul(&read("2.5")).unwrap().to_string(), "250m");
    assert_eq!(read("0").checked_add(&read("1Gi")).unwrap().to_string(), "1Gi");
    assert_eq!(read("1e3").checked_sub(&read("1")).unwrap().to_string(), "999");
}

#[test]
fn integers_are_small_and_written_without_decimals() {
    assert_eq!(read("1k").as_whole(), Some(1000));
    assert_eq!(read("1Gi").as_whole(), Some(1 << 30));
    // Too long for the quick way, and so no integer.
    assert_eq!(read("1Pi").as_whole(), None);
    assert_eq!(read("1.0").as_whole(), None);
    assert_eq!(read("1.5").checked_add(&read("0.5")).unwrap().as_whole(), None);
    assert_eq!(read("9223372036854775807").as_whole(), None);
    assert_eq!(read("1E").as_whole(), Some(1_000_000_000_000_000_000));
}

#[test]
fn floats_are_a_float_times_a_power_of_ten() {
    assert_eq!(read("0.1").as_f64(), 0.1);
    assert_eq!(read("1e400").as_f64(), f64::INFINITY);
    assert_eq!(read("999999999999999999999").as_f64(), 1_000_000_000_000_000_100_000.0);
    assert_eq!(read("1Pi").checked_sub(&read("7")).unwrap().as_f64(), 1_125_899_906_842_617.1);
}
