//! Tables: framed and coloured on a terminal, aligned plain lines elsewhere.

use comfy_table::{
    Attribute, Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle, Width,
};

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Words up to this many characters are never broken.
const WORD: u16 = 18;
/// Spaces around every cell.
const PADDING: u16 = 2;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; one cell per column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| cell.replace(['\n', '\r'], " ")).collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell per column");
        self.rows.push(cells);
    }

    /// The finished text, with a newline at its end.
    pub fn render(&self, terminal: bool) -> String {
        if terminal { self.framed() } else { self.plain() }
    }

    fn framed(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.columns.iter().map(|(name, _)| Cell::new(name).add_attribute(Attribute::Bold)));
        for row in &self.rows {
            table.add_row(row);
        }
        for (index, (_, align)) in self.columns.iter().enumerate() {
            let word = self.longest_word(index);
            let Some(column) = table.column_mut(index) else { continue };
            if *align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word + PADDING)));
            }
        }
        format!("{table}\n")
    }

    /// The width below which a column would break words; very long words may be broken.
    fn longest_word(&self, index: usize) -> u16 {
        let texts = self.rows.iter().map(|row| row[index].as_str()).chain([self.columns[index].0]);
        let words = texts.flat_map(str::split_whitespace).map(|word| word.chars().count());
        u16::try_from(words.max().unwrap_or(0)).map_or(WORD, |length| length.min(WORD))
    }

    fn plain(&self) -> String {
        let header: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let lines = || std::iter::once(&header).chain(&self.rows);
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|index| lines().map(|line| line[index].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for line in lines() {
            let cells =
                line.iter().zip(&widths).zip(&self.columns).map(|((cell, &width), (_, align))| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_aligned() {
        let mut table = Table::new(&[("NAME", Align::Left), ("MS", Align::Right)]);
        table.row(["hello".into(), "1.25".into()]);
        table.row(["a\nb".into(), "312".into()]);
        assert_eq!(table.render(false), "NAME     MS\nhello  1.25\na b     312\n");
        assert!(table.render(true).contains('─'));
    }
}
