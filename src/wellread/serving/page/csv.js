// Tables as text: CSV and TSV in and out, after RFC 4180; a quoted field may hold separators, quotes and lines.

function separatorOf(text) {
  const first = text.slice(0, text.search(/\r?\n|$/));
  const counts = [",", "\t", ";"].map((mark) => [first.split(mark).length, mark]);
  return counts.sort((a, b) => b[0] - a[0])[0][1];
}

export function parse(text) {
  const source = text.replace(/^\ufeff/, "");
  const separator = separatorOf(source);
  const rows = [];
  let row = [], field = "", quoted = false;
  for (let i = 0; i < source.length; i++) {
    const mark = source[i];
    if (quoted) {
      if (mark !== '"') field += mark;
      else if (source[i + 1] === '"') field += source[++i];
      else quoted = false;
    } else if (mark === '"' && field === "") quoted = true;
    else if (mark === separator) row.push(field), field = "";
    else if (mark === "\n" || mark === "\r") {
      if (mark === "\r" && source[i + 1] === "\n") i++;
      row.push(field);
      rows.push(row);
      row = [], field = "";
    } else field += mark;
  }
  if (field !== "" || row.length) row.push(field), rows.push(row);
  return rows.filter((each) => each.some((value) => value.trim()));
}

export function written(rows) {
  const field = (value) => (/[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return rows.map((row) => row.map((value) => field(String(value))).join(",")).join("\r\n") + "\r\n";
}

// The column that reads most like texts: that of the longest fields.
export function textColumn(header, rows) {
  const named = header.findIndex((name) => /^(text|sentence|content|body|document|title)s?$/i.test(name.trim()));
  if (named >= 0) return named;
  const lengths = header.map((_, column) => rows.slice(0, 200).reduce((sum, row) => sum + (row[column] ?? "").length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

// The column that reads most like groups: a few values, each of several rows.
export function groupColumn(header, rows, text) {
  return header.findIndex((_, column) => {
    const values = new Set(rows.map((row) => row[column] ?? ""));
    return column !== text && values.size > 1 && values.size <= 8 && values.size * 3 <= rows.length;
  });
}
