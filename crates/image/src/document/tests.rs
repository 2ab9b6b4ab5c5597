//! Documents as registries and tools write them, and as they should not.

use proptest::prelude::*;

use super::*;

fn digest(n: u8) -> String {
    Digest::of(&[n]).to_string()
}

fn manifest(config_type: &str, layer_type: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"{config_type}","digest":"{}","size":10}},
            "layers":[{{"mediaType":"{layer_type}","digest":"{}","size":20}}]}}"#,
        digest(0),
        digest(1)
    )
}

fn parse(json: &str) -> Result<Manifest, ImageError> {
    Manifest::parse(json.as_bytes(), &Limits::default())
}

fn index_of(platforms: &[(&str, &str, Option<&str>)]) -> Vec<IndexEntry> {
    let entries: Vec<String> = platforms
        .iter()
        .zip(0..)
        .map(|((os, architecture, variant), n)| {
            let variant = variant.map_or(String::new(), |v| format!(r#","variant":"{v}""#));
            format!(
                r#"{{"digest":"{}","size":1,"platform":{{"os":"{os}","architecture":"{architecture}"{variant}}}}}"#,
                digest(n)
            )
        })
        .collect();
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    match parse(&json).unwrap() {
        Manifest::Index(entries) => entries,
        Manifest::Image(_) => panic!("an index was read as an image"),
    }
}

#[test]
fn both_spellings_of_media_types_are_read() {
    for (config, layer) in [
        (CONFIG_TYPES[0], LAYER_TYPES[1]),
        (CONFIG_TYPES[1], LAYER_TYPES[4]),
    ] {
        let Manifest::Image(image) = parse(&manifest(config, layer)).unwrap() else {
            panic!("an image was read as an index");
        };
        assert_eq!(image.config.digest, Digest::of(&[0]));
        assert_eq!(image.layers[0].bytes, 20);
    }
}

#[test]
fn artifacts_foreign_layers_and_old_manifests_are_refused() {
    for json in [
        manifest("application/vnd.cncf.helm.config.v1+json", LAYER_TYPES[0]),
        manifest(
            CONFIG_TYPES[0],
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        ),
        r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(),
    ] {
        assert!(
            matches!(parse(&json), Err(ImageError::Unsupported { .. })),
            "{json}"
        );
    }
}

#[test]
fn an_image_that_is_also_an_index_is_refused() {
    let both = manifest(CONFIG_TYPES[0], LAYER_TYPES[0]).replace(
        r#""schemaVersion":2,"#,
        r#""schemaVersion":2,"manifests":[],"#,
    );
    let lying = manifest(CONFIG_TYPES[0], LAYER_TYPES[0]).replace(
        r#""schemaVersion":2,"#,
        r#""schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","#,
    );
    for json in [both, lying] {
        assert!(
            matches!(parse(&json), Err(ImageError::Malformed { .. })),
            "{json}"
        );
    }
}

#[test]
fn sizes_and_counts_beyond_the_limits_are_refused() {
    let large = manifest(CONFIG_TYPES[0], LAYER_TYPES[0]).replace("20}", "99999999999999}");
    assert!(matches!(parse(&large), Err(ImageError::TooLarge { .. })));
    let none = Limits {
        layers_max: 0,
        ..Limits::default()
    };
    let one = manifest(CONFIG_TYPES[0], LAYER_TYPES[0]);
    assert!(matches!(
        Manifest::parse(one.as_bytes(), &none),
        Err(ImageError::TooLarge { .. })
    ));
    let negative = one.replace("20}", "-1}");
    assert!(matches!(
        parse(&negative),
        Err(ImageError::Malformed { .. })
    ));
}

#[test]
fn the_entry_for_this_machine_is_chosen() {
    let entries = index_of(&[
        ("windows", "amd64", None),
        ("linux", "arm", Some("v6")),
        ("linux", "arm", Some("v7")),
        ("linux", "amd64", Some("v3")),
        ("linux", "amd64", None),
    ]);
    for (machine, expected) in [
        (Platform::new("amd64", None), 4),
        (Platform::new("arm", Some("v7")), 2),
        (Platform::new("arm", Some("v6")), 1),
    ] {
        let chosen = choose(entries.iter(), &machine).unwrap();
        assert_eq!(
            chosen.descriptor.digest,
            Digest::of(&[expected]),
            "{machine}"
        );
    }
}

#[test]
fn a_machine_without_an_entry_is_told_what_exists() {
    let entries = index_of(&[("linux", "arm64", Some("v8")), ("windows", "amd64", None)]);
    let error = choose(entries.iter(), &Platform::new("amd64", None)).unwrap_err();
    let ImageError::WrongPlatform { available, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(available, [Platform::new("arm64", Some("v8"))]);
}

#[test]
fn a_windows_image_is_refused_as_such() {
    let json =
        r#"{"architecture":"amd64","os":"windows","rootfs":{"type":"layers","diff_ids":[]}}"#;
    assert!(matches!(
        ImageDocument::parse(json.as_bytes()),
        Err(ImageError::Unsupported { .. })
    ));
}

#[test]
fn a_written_configuration_reads_back() {
    let document = ImageDocument {
        platform: Platform::new("arm64", Some("v8")),
        config: ConfigDocument {
            env: Some(vec!["A=1".to_owned()]),
            ..ConfigDocument::default()
        },
        diff_ids: vec![Digest::of(b"x")],
    };
    let read = ImageDocument::parse(&document.write().unwrap()).unwrap();
    assert_eq!(read.platform, document.platform);
    assert_eq!(read.diff_ids, document.diff_ids);
    assert_eq!(read.config.env, document.config.env);
}

/// Any JSON of a few levels, with the field names that the documents have.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        Just(2.into()),
        ".{0,8}".prop_map(Into::into),
        Just(digest(0).into()),
        Just("linux".into()),
        Just("layers".into()),
        Just(CONFIG_TYPES[0].into()),
        Just(LAYER_TYPES[0].into()),
    ];
    let name = proptest::sample::select(vec![
        "schemaVersion",
        "mediaType",
        "config",
        "layers",
        "manifests",
        "digest",
        "size",
        "platform",
        "annotations",
        "architecture",
        "os",
        "variant",
        "rootfs",
        "type",
        "diff_ids",
        "Env",
        "Cmd",
        "ExposedPorts",
        "StopSignal",
        "Labels",
        "User",
        "WorkingDir",
    ]);
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((name.clone(), inner), 0..8).prop_map(|fields| {
                let fields = fields.into_iter();
                fields
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_the_parsers_panic(json in any_json()) {
        let bytes = serde_json::to_vec(&json).unwrap();
        let _ = Manifest::parse(&bytes, &Limits::default());
        if let Ok(document) = ImageDocument::parse(&bytes) {
            let _ = crate::Config::from_document(document.config);
        }
        if let Ok(config) = serde_json::from_slice(&bytes) {
            let _ = crate::Config::from_document(config);
        }
    }

    #[test]
    fn a_damaged_manifest_is_refused_or_within_the_limits(place in 0..400_usize, byte in any::<u8>()) {
        let mut json = manifest(CONFIG_TYPES[0], LAYER_TYPES[1]).into_bytes();
        let place = place % json.len();
        json[place] = byte;
        let limits = Limits { layer_bytes_max: 25, document_bytes_max: 15, ..Limits::default() };
        if let Ok(Manifest::Image(image)) = Manifest::parse(&json, &limits) {
            prop_assert!(image.config.bytes <= 15);
            prop_assert!(image.layers.iter().all(|layer| layer.bytes <= 25));
        }
    }

    #[test]
    fn a_written_document_reads_back(
        count in 0..5_u8,
        env in proptest::option::of(proptest::collection::vec("[A-Z]{1,5}=.{0,9}", 0..4)),
        architecture in "[a-z0-9]{1,8}",
    ) {
        let document = ImageDocument {
            platform: Platform::new(&architecture, None),
            config: ConfigDocument { env: env.clone(), ..ConfigDocument::default() },
            diff_ids: (0..count).map(|n| Digest::of(&[n])).collect(),
        };
        let bytes = document.write().unwrap();
        let back = ImageDocument::parse(&bytes).unwrap();
        prop_assert_eq!(&back.platform, &document.platform);
        prop_assert_eq!(&back.diff_ids, &document.diff_ids);
        prop_assert_eq!(&back.config.env, &env);
        prop_assert_eq!(back.write().unwrap(), bytes);
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in any::<Vec<u8>>()) {
        let _ = Manifest::parse(&bytes, &Limits::default());
        let _ = ImageDocument::parse(&bytes);
    }
}
