//! The words of commands that show something.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::complete;
use crate::jsonpath::{BadTemplate, Template};
use crate::order::SortKey;
use crate::selector::Selector;

/// How results are written.
#[derive(Args, Clone, Debug)]
pub(crate) struct OutputArgs {
    /// How the result is written: table, wide, json, yaml, name or
    /// jsonpath=TEMPLATE
    #[arg(
        short,
        long,
        default_value = "table",
        value_name = "FORMAT",
        add = complete::formats()
    )]
    pub(crate) output: Format,
}

/// How an answer is written in which nothing has a name.
#[derive(Args, Clone, Debug)]
pub(crate) struct AnswerArgs {
    /// How the result is written: table, wide, json, yaml or jsonpath=TEMPLATE
    #[arg(
        short,
        long,
        default_value = "table",
        value_name = "FORMAT",
        add = complete::answer_formats()
    )]
    pub(crate) output: AnswerFormat,
}

/// How what was done is written.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutcomeArgs {
    /// How what was done is written
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: OutcomeFormat,
}

/// How what was done is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeFormat {
    /// Lines for people
    Text,
    /// One JSON object, whatever the end is
    Json,
}

/// Which of many things are shown, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Those with these labels: key=value, key!=value, key or !key, with commas
    /// between
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<Selector>,
    /// The field that puts them in order, such as revision or .spec.runtimeClass
    #[arg(long, value_name = "FIELD")]
    pub(crate) sort_by: Option<SortKey>,
    /// No heading above the table
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Stay, and tell of every change
    #[arg(short, long)]
    pub(crate) watch: bool,
}

/// How results are written.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns for people
    Wide,
    /// As the API answers
    Json,
    /// As people write it, ready for -f
    Yaml,
    /// Names alone, one a line
    Name,
    /// What a template makes of the JSON
    JsonPath(Template),
}

/// How an answer is written in which nothing has a name.
#[derive(Clone, Debug)]
pub(crate) enum AnswerFormat {
    /// For people, who get all columns
    Table,
    /// As the API answers
    Json,
    /// The same in YAML
    Yaml,
    /// What a template makes of the JSON
    JsonPath(Template),
}

impl Format {
    /// Whether it is a table, which people read.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// The words for formats, for completion.
pub(crate) const FORMATS: [&str; 6] = ["table", "wide", "json", "yaml", "name", "jsonpath="];

/// The text is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFormat {
    /// Not one of the words.
    #[error("choose one of table, wide, json, yaml, name and jsonpath=TEMPLATE")]
    Unknown,
    /// There are no names.
    #[error("nothing has a name here; {}", Self::UnknownAnswer)]
    Nameless,
    /// Not one of the words, where there are no names.
    #[error("choose one of table, wide, json, yaml and jsonpath=TEMPLATE")]
    UnknownAnswer,
    /// What follows is no template.
    #[error("{0}")]
    Template(BadTemplate),
}

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        match text {
            "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "name" => Ok(Self::Name),
            text => {
                let template = text.strip_prefix("jsonpath").ok_or(BadFormat::Unknown)?;
                let template = match template.strip_prefix('=') {
                    Some(template) => template,
                    None if template.is_empty() => template,
                    None => return Err(BadFormat::Unknown),
                };
                let template = template.parse().map_err(BadFormat::Template)?;
                Ok(Self::JsonPath(template))
            }
        }
    }
}

impl FromStr for AnswerFormat {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        match text.parse() {
            Ok(Format::Table | Format::Wide) => Ok(Self::Table),
            Ok(Format::Json) => Ok(Self::Json),
            Ok(Format::Yaml) => Ok(Self::Yaml),
            Ok(Format::JsonPath(template)) => Ok(Self::JsonPath(template)),
            Ok(Format::Name) => Err(BadFormat::Nameless),
            Err(BadFormat::Unknown) => Err(BadFormat::UnknownAnswer),
            Err(error) => Err(error),
        }
    }
}
