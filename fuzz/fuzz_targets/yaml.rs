//! Any bytes: reading never panics and stays bounded, and what was read survives being written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moin::yaml;

fuzz_target!(|bytes: &[u8]| {
    let file = "fuzz.yaml".parse().expect("a path inside the repository");
    for document in yaml::read(&file, bytes).into_iter().flatten() {
        let written = yaml::write(&document.value);
        let again = yaml::parse(&written, true).expect("what was written is YAML");
        // A float without a fraction may come back as an integer; writing it again changes nothing any more.
        assert_eq!(yaml::write(&again), yaml::write(&yaml::parse(&yaml::write(&again), true).expect("YAML")));
        yaml::Places::of(&document.source).locate(&Default::default());
    }
});
