/** The names of the columns of a table. */

/** hidden: names that only screen readers say. */
export function TableHead(props: {
  readonly names: readonly string[];
  readonly hidden?: readonly string[];
}) {
  return (
    <thead>
      <tr>
        {props.names.map((name) => (
          <th key={name} scope="col">
            {props.hidden?.includes(name) ? <span class="hidden">{name}</span> : name}
          </th>
        ))}
      </tr>
    </thead>
  );
}
