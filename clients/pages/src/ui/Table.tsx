import "./Table.css";
import type { ReactNode } from "react";

export interface Column<Row> {
  /** What stands above; also the key. */
  readonly head: string;
  readonly cell: (row: Row) => ReactNode;
  /** Right-aligned, digits below digits. */
  readonly number?: boolean;
}

interface TableProps<Row> {
  readonly caption: string;
  /** For screen readers only, where a heading says the same. */
  readonly captionUnseen?: boolean;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  /** Said when there is no row. */
  readonly empty: ReactNode;
}

/** Rows of the same kind. It scrolls sideways by itself where it is too wide. */
export function Table<Row>({ caption, captionUnseen = false, columns, rows, rowKey, empty }: TableProps<Row>) {
  return (
    <div className="table-frame" role="group" aria-label={caption} tabIndex={0}>
      <table className="table">
        <caption className={captionUnseen ? "unseen" : undefined}>{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ head, number }) => (
              <th key={head} scope="col" className={number ? "table-number" : undefined}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map(({ head, cell, number }) => (
                <td key={head} className={number ? "table-number" : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td colSpan={columns.length} className="table-empty">
                {empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}
