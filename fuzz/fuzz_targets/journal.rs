//! Any bytes as the files of `--data`: opening them succeeds or says why not, and what was opened can be written to.
#![no_main]

mod common;

use common::bodies::{Choices, config_map, endpoints, mutate, send};
use libfuzzer_sys::fuzz_target;
use moin::plane::Plane;

const MAGIC: &[u8] = b"moin plane store 1\n";

/// A record whose frame is right, whatever it holds.
fn record(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_le_bytes();
    [&length[..], &crc32fast::hash(payload).to_le_bytes(), payload].concat()
}

/// A record that puts a body; kind, resourceVersion, lengths of resource, namespace and name, and these.
fn put(resource: &str, name: &str, body: &[u8]) -> Vec<u8> {
    let mut payload = vec![1];
    payload.extend(9_u64.to_le_bytes());
    [resource, "default", name].iter().for_each(|text| payload.extend((text.len() as u16).to_le_bytes()));
    [resource, "default", name].iter().for_each(|text| payload.extend(text.as_bytes()));
    payload.extend(body);
    payload
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("store");
    std::fs::create_dir_all(&store).expect("a folder");
    let map = config_map("m").to_string().into_bytes();
    let log = match first & 7 {
        0 => bytes.to_vec(),
        1 => [MAGIC, bytes].concat(),
        2 => [MAGIC, &record(bytes)].concat(),
        3 => [MAGIC, &record(&put("configmaps", "m", bytes))].concat(),
        4 => [
            MAGIC,
            &record(&put("customresourcedefinitions.apiextensions.k8s.io", "widgets.moin.test", bytes)),
        ]
        .concat(),
        5 => [MAGIC, &record(&mutate(&put("configmaps", "m", &map), &mut Choices::new(bytes, 1)))].concat(),
        6 => {
            let body = mutate(&map, &mut Choices::new(bytes, 1));
            [MAGIC, &record(&put("configmaps", "m", &body)), &record(&put("configmaps", "n", &map))].concat()
        }
        _ => mutate(&[MAGIC, &record(&put("configmaps", "m", &map))].concat(), &mut Choices::new(bytes, 1)),
    };
    let file = if first & 8 == 0 { "log-0000000001" } else { "snapshot-0000000001" };
    std::fs::write(store.join(file), log).expect("a file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Ok(plane) = Plane::builder().controllers(false).data(folder.path()).open() else { return };
        for endpoint in endpoints().iter().filter(|endpoint| endpoint.path.contains("configmaps")) {
            send(&plane.router(), endpoint, &endpoint.body).await;
        }
    });
});
