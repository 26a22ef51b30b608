import "./Button.css";
import type { ComponentProps } from "react";
import { Icon, type IconName } from "./Icon.tsx";

interface Look {
  /** `primary` once in a view, for what one came to do; `danger` for what takes something away; `quiet` beside much else. */
  readonly look?: "plain" | "primary" | "danger" | "quiet";
  readonly small?: boolean;
}

type ButtonProps = ComponentProps<"button"> & Look & { readonly icon?: IconName };

/** A button with words. */
export function Button({ look = "plain", small = false, icon, className, children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} className={classes(look, small, className)}>
      {icon && <Icon name={icon} size={small ? 15 : 18} />}
      {children}
    </button>
  );
}

type IconButtonProps = Omit<ComponentProps<"button">, "children" | "aria-label"> & Look & { readonly label: string; readonly icon: IconName };

/** A button that is an icon; its label is read out, and shown to who points at it. */
export function IconButton({ look = "quiet", small = false, icon, label, className, ...rest }: IconButtonProps) {
  return (
    <button type="button" title={label} {...rest} aria-label={label} className={classes(look, small, `button-icon ${className ?? ""}`)}>
      <Icon name={icon} size={small ? 15 : 18} />
    </button>
  );
}

function classes(look: string, small: boolean, more?: string): string {
  return ["button", look !== "plain" && `button-${look}`, small && "button-small", more].filter(Boolean).join(" ");
}
