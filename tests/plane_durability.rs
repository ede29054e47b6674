//! A plane with a folder of its own, killed in the middle of its work again and again: what it said is true afterwards.

#![allow(clippy::unwrap_used, reason = "test code; clippy knows only #[test] functions as such")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt as _};
use serde_json::json;

const ROUNDS: u64 = 12;
const WRITERS: usize = 6;
/// Each writer has so many objects; those of the last writer are large, so that snapshots are written too.
const OBJECTS: u64 = 5;

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `moin plane` with its data in a folder, and how to reach it.
fn start(folder: &Path) -> Process {
    let mut child = Command::new(env!("CARGO_BIN_EXE_moin"))
        .args(["plane", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.join("data"))
        .arg("--kubeconfig")
        .arg(folder.join("kubeconfig"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("ready "), "{line:?}");
    Process(child)
}

async fn config_maps(folder: &Path) -> Api<ConfigMap> {
    let file = Kubeconfig::read_from(folder.join("kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Api::default_namespaced(Client::try_from(config).unwrap())
}

/// What a writer knows of one object: what the server said last, and what it was asked since.
#[derive(Clone, Default)]
struct Known {
    /// Value, uid and resourceVersion.
    said: Option<(String, String, u64)>,
    asked: Option<Option<String>>,
}

type Knowledge = Arc<Mutex<BTreeMap<String, Known>>>;

fn revision(map: &ConfigMap) -> u64 {
    map.resource_version().unwrap().parse().unwrap()
}

fn value(map: &ConfigMap) -> String {
    // Of the large ones only the beginning.
    map.data.as_ref().unwrap()["v"].split(' ').next().unwrap().to_owned()
}

/// Writes until the server is gone.
async fn write(maps: Api<ConfigMap>, known: Knowledge, writer: usize, round: u64) {
    for step in 0_u64.. {
        let name = format!("w{writer}-{}", step % OBJECTS);
        let deletes = step % 7 == 6;
        let wanted = format!("{round}.{step}");
        known.lock().unwrap().entry(name.clone()).or_default().asked =
            Some((!deletes).then(|| wanted.clone()));
        let said = if deletes {
            match maps.delete(&name, &DeleteParams::default()).await {
                Ok(_) => None,
                Err(kube::Error::Api(status)) if status.code == 404 => None,
                Err(_) => return,
            }
        } else {
            let filling = if writer + 1 == WRITERS { "x".repeat(700_000) } else { String::new() };
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                "data": {"v": format!("{wanted} {filling}")}});
            match maps.patch(&name, &PatchParams::apply("test"), &Patch::Apply(body)).await {
                Ok(map) => Some((value(&map), map.uid().unwrap(), revision(&map))),
                Err(_) => return,
            }
        };
        known.lock().unwrap().insert(name, Known { said, asked: None });
    }
}

/// What a watch from a resourceVersion makes of a picture; `None` when that is too old.
async fn follow(
    maps: &Api<ConfigMap>,
    mut picture: BTreeMap<String, u64>,
    from: u64,
    seen: Option<&Mutex<(BTreeMap<String, u64>, u64)>>,
) -> Option<BTreeMap<String, u64>> {
    let parameters = WatchParams::default().timeout(if seen.is_some() { 290 } else { 1 });
    let mut events = maps.watch(&parameters, &from.to_string()).await.ok()?.boxed();
    while let Ok(Some(event)) = events.try_next().await {
        let at = match event {
            WatchEvent::Added(map) | WatchEvent::Modified(map) => {
                picture.insert(map.name_any(), revision(&map));
                revision(&map)
            }
            WatchEvent::Deleted(map) => {
                picture.remove(&map.name_any());
                revision(&map)
            }
            WatchEvent::Error(status) => {
                assert_eq!(status.code, 410, "{status:?}");
                return None;
            }
            WatchEvent::Bookmark(_) => continue,
        };
        if let Some(seen) = seen {
            *seen.lock().unwrap() = (picture.clone(), at);
        }
    }
    Some(picture)
}

fn check(known: &BTreeMap<String, Known>, found: &BTreeMap<String, ConfigMap>) {
    for (name, known) in known {
        let there = found.get(name).map(value);
        let said = known.said.as_ref().map(|(value, _, _)| value.clone());
        let may_be = there == said || known.asked.as_ref() == Some(&there);
        assert!(may_be, "{name}: said {said:?}, asked {:?}, there is {there:?}", known.asked);
        if let (Some(map), Some((_, uid, at))) = (found.get(name), &known.said) {
            assert!(revision(map) >= *at, "{name} went back");
            assert_eq!(&map.uid().unwrap(), uid, "{name} is another one");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let known = Knowledge::default();
    let (mut newest, mut resumed) = (0, 0);
    let seen = Arc::new(Mutex::new((BTreeMap::new(), 0)));
    for round in 0..ROUNDS {
        let process = start(folder.path());
        let maps = config_maps(folder.path()).await;
        let list = maps.list(&ListParams::default()).await.unwrap();
        let at: u64 = list.metadata.resource_version.unwrap().parse().unwrap();
        assert!(at >= newest, "the resourceVersion went back from {newest} to {at}");
        let found: BTreeMap<String, ConfigMap> =
            list.items.into_iter().map(|map| (map.name_any(), map)).collect();
        check(&known.lock().unwrap(), &found);
        let picture: BTreeMap<String, u64> =
            found.iter().map(|(name, map)| (name.clone(), revision(map))).collect();
        let (before, from) = seen.lock().unwrap().clone();
        if from > 0
            && let Some(followed) = follow(&maps, before, from, None).await
        {
            assert_eq!(followed, picture, "a watch from {from} missed something");
            resumed += 1;
        }
        // What is there now is what was said, whatever was asked.
        for (name, known) in known.lock().unwrap().iter_mut() {
            let said = found.get(name).map(|map| (value(map), map.uid().unwrap(), revision(map)));
            *known = Known { said, asked: None };
        }
        *seen.lock().unwrap() = (picture.clone(), at);
        let watching = {
            let (maps, seen) = (maps.clone(), seen.clone());
            tokio::spawn(async move { follow(&maps, picture, at, Some(&seen)).await })
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write(maps.clone(), known.clone(), writer, round)))
            .collect();
        // Any moment will do, as long as it is another one each time.
        tokio::time::sleep(Duration::from_millis(100 + round * 977 % 1300)).await;
        drop(process);
        futures::future::join_all(writers).await;
        let _ = watching.await;
        let said = known.lock().unwrap().values().filter_map(|k| Some(k.said.as_ref()?.2)).max();
        newest = at.max(said.unwrap_or(0)).max(seen.lock().unwrap().1);
    }
    assert!(newest > 100, "only {newest} writes");
    assert!(resumed > 0, "no watch went on");
}

#[test]
fn a_folder_has_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = start(folder.path());
    let second = Command::new(env!("CARGO_BIN_EXE_moin"))
        .args(["plane", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("is in use by another process"), "{said}");
}
