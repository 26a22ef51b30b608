/** What `cargo auditable` wrote into a program: the crates that it is made of. */
import { inflateSync } from "node:zlib";

interface Sbom {
  readonly packages: { readonly name: string; readonly version: string }[];
}

/** Reads it from the section `.dep-v0` of a 64-bit ELF file; throws when there is none. */
export function sbom(elf: Buffer): Sbom {
  const headers = Number(elf.readBigUInt64LE(0x28));
  const [size, count, names] = [elf.readUInt16LE(0x3a), elf.readUInt16LE(0x3c), elf.readUInt16LE(0x3e)];
  const section = (index: number) => {
    const at = headers + index * size;
    const from = Number(elf.readBigUInt64LE(at + 0x18));
    return { name: elf.readUInt32LE(at), bytes: elf.subarray(from, from + Number(elf.readBigUInt64LE(at + 0x20))) };
  };
  const table = section(names).bytes;
  for (let index = 0; index < count; index++) {
    const { name, bytes } = section(index);
    if (table.toString("latin1", name, table.indexOf(0, name)) === ".dep-v0") return JSON.parse(inflateSync(bytes).toString()) as Sbom;
  }
  throw new Error("there is no section .dep-v0: it was not built by cargo auditable");
}
