/** Form fields with their labels, and what is wrong with them. */
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

type FieldProps = {
  readonly label: string;
  readonly value: string;
  readonly onInput: (value: string) => void;
  /** Below the field. */
  readonly hint?: string;
  /** What is wrong with the value; '': nothing. */
  readonly error?: string;
  readonly class?: string;
  readonly disabled?: boolean;
};

export type TextFieldProps = FieldProps & {
  readonly type?: 'text' | 'password' | 'search';
  readonly placeholder?: string;
  /** Values to choose from, or to write another. */
  readonly offers?: readonly string[];
  readonly mono?: boolean;
};

export function TextField({ offers, type = 'text', placeholder, mono, ...field }: TextFieldProps) {
  const id = useId();
  return (
    <Field id={id} {...field}>
      <input
        id={id}
        // Only what has no offers is a password.
        type={type as 'text'}
        class={mono === true ? 'mono' : undefined}
        value={field.value}
        placeholder={placeholder}
        disabled={field.disabled}
        list={offers === undefined ? undefined : `${id}-offers`}
        autoComplete="off"
        spellcheck={false}
        {...described(id, field)}
        onInput={({ currentTarget }) => {
          field.onInput(currentTarget.value);
        }}
      />
      {offers !== undefined && (
        <datalist id={`${id}-offers`}>
          {offers.map((offer) => (
            <option key={offer}>{offer}</option>
          ))}
        </datalist>
      )}
    </Field>
  );
}

export type TextAreaProps = FieldProps & {
  readonly rows?: number;
  /** Ctrl+Enter, or ⌘Enter; with shift where `isShifted`. */
  readonly onSubmit?: (isShifted: boolean) => void;
};

/** Code: a fixed-width font, and no corrections of spelling. */
export function TextArea({ rows = 4, onSubmit, ...field }: TextAreaProps) {
  const id = useId();
  return (
    <Field id={id} {...field}>
      <textarea
        id={id}
        class="mono"
        rows={rows}
        value={field.value}
        disabled={field.disabled}
        spellcheck={false}
        autoComplete="off"
        {...described(id, field)}
        onKeyDown={(event) => {
          if (onSubmit === undefined || event.key !== 'Enter') return;
          if (!event.ctrlKey && !event.metaKey) return;
          event.preventDefault();
          onSubmit(event.shiftKey);
        }}
        onInput={({ currentTarget }) => {
          field.onInput(currentTarget.value);
        }}
      />
    </Field>
  );
}

export type SelectFieldProps = FieldProps & {
  readonly options: readonly (readonly [value: string, text: string])[];
};

export function SelectField({ options, ...field }: SelectFieldProps) {
  const id = useId();
  return (
    <Field id={id} {...field}>
      <select
        id={id}
        value={field.value}
        disabled={field.disabled}
        {...described(id, field)}
        onChange={({ currentTarget }) => {
          field.onInput(currentTarget.value);
        }}
      >
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}

function Field({
  id,
  label,
  hint,
  error = '',
  class: name = '',
  children,
}: Pick<FieldProps, 'label' | 'hint' | 'error' | 'class'> & {
  readonly id: string;
  readonly children: ComponentChildren;
}) {
  return (
    <div class={`field ${name}`}>
      <label for={id}>{label}</label>
      {children}
      {error !== '' && (
        <p class="error" id={`${id}-error`}>
          {error}
        </p>
      )}
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** What a screen reader says after the label. */
function described(id: string, { hint, error = '' }: Pick<FieldProps, 'hint' | 'error'>) {
  const by = [
    ...(error === '' ? [] : [`${id}-error`]),
    ...(hint === undefined ? [] : [`${id}-hint`]),
  ];
  return {
    'aria-invalid': error !== '',
    'aria-describedby': by.length === 0 ? undefined : by.join(' '),
  };
}
