//! Tables of the API: HTML for `/docs`, Markdown for the README.

use strum::VariantArray;

use super::{
    api::{Endpoint, Field, Header},
    problem::Problem,
};
use crate::inpaint::Mode;

/// A table whose cells mark code with backticks.
pub struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    #[cfg(test)]
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ")).replace("|  |", "| |");
        let head: Vec<_> = self.head.iter().map(|&title| title.to_owned()).collect();
        let rule = format!("|{}\n", "---|".repeat(head.len()));
        let rows: String = self.rows.iter().map(|cells| line(cells)).collect();
        line(&head) + &rule + &rows
    }

    pub fn html(&self) -> String {
        let head: String = self.head.iter().map(|title| format!("<th>{title}</th>")).collect();
        let rows: String = self.rows.iter().map(|cells| html_row(cells)).collect();
        format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>")
    }
}

fn html_row(cells: &[String]) -> String {
    let cells = cells.iter().map(|cell| {
        let code =
            cell.len() > 2 && cell.matches('`').count() == 2 && cell.starts_with('`') && cell.ends_with('`');
        let class = if code { " class=\"code\"" } else { "" };
        let lines: Vec<_> = cell.lines().map(html).collect();
        format!("<td{class}>{}</td>", lines.join("<br>"))
    });
    format!("<tr>{}</tr>\n", cells.collect::<String>())
}

/// Converts text with code in backticks to HTML; long identifiers may break at underscores.
fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let parts = text.split('`').enumerate().map(|(i, part)| match i % 2 {
        0 => part.to_owned(),
        _ => format!("<code>{}</code>", part.replace('_', "_<wbr>")),
    });
    parts.collect()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// An endpoint's form fields.
pub fn fields(endpoint: Endpoint) -> Table {
    let row = |field: &Field| {
        let default = match field.required() {
            true => "required".to_owned(),
            false => field.default(endpoint).as_deref().map(code).unwrap_or_default(),
        };
        vec![code(field.name()), default, field.about(endpoint)]
    };
    Table { head: &["field", "default", "what it is"], rows: endpoint.fields().iter().map(row).collect() }
}

/// The modes: when each applies and what it erases.
pub fn modes() -> Table {
    let row = |mode: &Mode| {
        let (when, what) = match mode {
            Mode::Mask => ("There is a `mask`.", "The light part of the mask."),
            Mode::Bbox => ("There is no mask, and one of `x`, `y`, `w`, `h`.", "The box."),
            Mode::Point => ("`/mask` alone: `x` and `y`, without `w` and `h`.", "The object there."),
            Mode::AutoSubject => {
                ("There is neither.", "The subject of the photo, as a network for segmentation finds it.")
            }
        };
        vec![code(mode.name()), when.to_owned(), what.to_owned()]
    };
    Table { head: &["mode", "when", "what is erased"], rows: Mode::VARIANTS.iter().map(row).collect() }
}

/// All response headers.
pub fn headers() -> Table {
    let row = |header: &Header| vec![code(header.name()), header.about()];
    Table { head: &["header", "what it says"], rows: Header::VARIANTS.iter().map(row).collect() }
}

/// All error codes, a row per status.
#[cfg(test)]
pub fn codes() -> Table {
    let rows = Problem::VARIANTS.chunk_by(|a, b| a.told().status == b.told().status).map(|problems| {
        let mut codes: Vec<_> = problems.iter().map(|problem| code(problem.told().code)).collect();
        codes.dedup();
        vec![problems[0].told().status.to_string(), codes.join(", ")]
    });
    Table { head: &["status", "`error`"], rows: rows.collect() }
}

/// All errors with their messages, a row per code.
pub fn problems() -> Table {
    let rows = Problem::VARIANTS.chunk_by(|a, b| a.told().code == b.told().code).map(|problems| {
        let messages = problems.iter().map(|problem| {
            let told = problem.told();
            match told.note {
                "" => told.message.to_owned(),
                note => format!("{} ({note})", told.message),
            }
        });
        let told = problems[0].told();
        vec![told.status.to_string(), code(told.code), messages.collect::<Vec<_>>().join("\n")]
    });
    Table { head: &["status", "error", "message"], rows: rows.collect() }
}

/// The endpoints without a form.
pub fn pages() -> Table {
    let pages = Endpoint::VARIANTS.iter().filter(|endpoint| endpoint.fields().is_empty());
    let rows = pages.map(|page| vec![code(&format!("GET {}", page.path())), page.about().to_owned()]);
    Table { head: &["address", "answer"], rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_tables_of_the_api() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let tables = [fields(Endpoint::Inpaint), headers(), codes()].map(|table| table.markdown());
        let missing: Vec<_> = tables.into_iter().filter(|table| !readme.contains(table)).collect();
        assert!(missing.is_empty(), "README.md must have:\n\n{}", missing.join("\n"));
    }
}
