import { Button, IconButton } from "../ui/Button.tsx";
import { CheckField, SelectField, TextField } from "../ui/Field.tsx";
import type { Filter } from "./model/view.ts";

interface Props {
  readonly filter: Filter;
  /** The types of JSON objects that were seen. */
  readonly types: readonly string[];
  readonly paused: boolean;
  /** How many came since it was paused. */
  readonly held: number;
  readonly shown: number;
  readonly onFilter: (filter: Filter) => void;
  readonly onPause: (on: boolean) => void;
  readonly onCopy: () => void;
  readonly onExport: () => void;
  readonly onClear: () => void;
}

/** What of the log is shown, and what to do with it. */
export function LogBar({ filter, types, paused, held, shown, onFilter, onPause, onCopy, onExport, onClear }: Props) {
  const picked = filter.kind.startsWith("type:") ? [filter.kind.slice(5)] : [];
  return (
    <div className="log-bar" role="group" aria-label="What is shown">
      <div className="log-filters">
        <TextField label="Search" labelUnseen type="search" placeholder="Search" value={filter.search} onChange={(event) => onFilter({ ...filter, search: event.target.value })} autoComplete="off" spellCheck={false} />
        <SelectField label="Direction" labelUnseen value={filter.direction} onChange={(event) => onFilter({ ...filter, direction: event.target.value as Filter["direction"] })}>
          <option value="all">Both ways</option>
          <option value="out">Sent</option>
          <option value="in">Received</option>
          <option value="note">Connection</option>
        </SelectField>
        <SelectField label="Type" labelUnseen value={filter.kind} onChange={(event) => onFilter({ ...filter, kind: event.target.value as Filter["kind"] })}>
          <option value="all">All types</option>
          <option value="text">Text</option>
          <option value="binary">Binary</option>
          {types.length + picked.length > 0 && (
            <optgroup label="“type” of JSON">
              {[...new Set([...types, ...picked])].map((type) => (
                <option key={type} value={`type:${type}`}>
                  {type}
                </option>
              ))}
            </optgroup>
          )}
        </SelectField>
        <CheckField label="Hide pings" checked={filter.hidePings} onChange={(event) => onFilter({ ...filter, hidePings: event.target.checked })} />
      </div>
      <div className="log-actions">
        <Button icon={paused ? "play" : "pause"} onClick={() => onPause(!paused)}>
          {paused ? `Resume (${held.toLocaleString("en")} held)` : "Pause"}
        </Button>
        <IconButton label="Copy what is shown, as JSON lines" icon="copy" disabled={shown === 0} onClick={onCopy} />
        <IconButton label="Export what is shown, as JSON lines" icon="download" disabled={shown === 0} onClick={onExport} />
        <IconButton label="Clear" icon="trash" onClick={onClear} />
      </div>
    </div>
  );
}
