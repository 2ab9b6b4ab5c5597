//! What a record holds, and that a launch comes back out of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// What the server hands out of a Secret.
fn contents(record: &Value) -> BTreeMap<String, Vec<u8>> {
    let data = record["data"].as_object().unwrap().iter();
    data.map(|(key, value)| {
        let value = STANDARD.decode(value.as_str().unwrap()).unwrap();
        (key.clone(), value)
    })
    .collect()
}

fn read(record: &Value) -> Result<Launch, RecordError> {
    let contents = contents(record);
    read_record("x", |key| contents.get(key).map(Vec::as_slice))
}

fn with_secrets() -> Launch {
    let mut launch = sample_launch();
    launch.workload.environment = BTreeMap::from([
        ("API_KEY".to_owned(), "s3cret $(HOME)".to_owned()),
        ("CW_SANDBOX_ID".to_owned(), launch.id.to_string()),
    ]);
    launch.mounted_files = vec![MountedFile {
        path: "/etc/app/config".to_owned(),
        content: b"\0binary".to_vec(),
    }];
    launch
}

#[test]
fn a_launch_comes_back_out_of_its_record() {
    let launch = with_secrets();
    assert_eq!(
        read(&record(&launch, &Settings::default()).unwrap()),
        Ok(launch)
    );
}

#[test]
fn the_pod_refers_to_values_and_files_and_holds_none() {
    let launch = with_secrets();
    let pod = pod_of(&launch);
    let text = pod.to_string();
    assert!(
        !text.contains("s3cret") && !text.contains("binary"),
        "{text}"
    );
    let contents = contents(&record(&launch, &Settings::default()).unwrap());
    let container = main_container(&pod);
    assert_eq!(container["env"][0]["name"], "API_KEY");
    let reference = &container["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(reference["name"], launch.id.to_string());
    let value = &contents[reference["key"].as_str().unwrap()];
    assert_eq!(value, b"s3cret $(HOME)");
    let mount = &container["volumeMounts"][0];
    assert_eq!(
        (&mount["mountPath"], &mount["readOnly"]),
        (&json!("/etc/app/config"), &json!(true))
    );
    let item = &pod["spec"]["volumes"][0]["secret"]["items"][0];
    assert_eq!(item["path"], mount["subPath"]);
    assert_eq!(contents[item["key"].as_str().unwrap()], b"\0binary");
}

#[test]
fn what_does_not_fit_into_a_secret_is_refused_with_its_size() {
    let mut launch = with_secrets();
    launch.mounted_files[0].content = vec![0; RECORD_BYTES_MAX];
    let Err(RecordError::TooLarge { bytes }) = record(&launch, &Settings::default()) else {
        unreachable!("it is too large");
    };
    assert!(bytes > RECORD_BYTES_MAX);
}

#[test]
fn a_secret_of_somebody_else_is_no_record() {
    for data in [
        json!({}),
        json!({ "launch.json": "e30=" }),
        json!({ "launch.json": "YQ==" }),
    ] {
        let error = read(&json!({ "data": data })).unwrap_err();
        assert!(matches!(error, RecordError::Unreadable { .. }), "{error}");
    }
    let mut record = record(&with_secrets(), &Settings::default()).unwrap();
    record["data"].as_object_mut().unwrap().remove("file.0");
    assert!(read(&record).unwrap_err().to_string().contains("file.0"));
}
