/*
 * Taking over a file's Huffman tables, for shim.c. Making the best tables for a file takes a pass over
 * all its coefficients, which costs as much as writing them; the file's own are nearly as good when
 * little has changed, as long as they have a code for everything.
 */
#include <string.h>

#include <jpeglib.h>

enum { END_OF_BLOCK = 0x00, SIXTEEN_ZEROES = 0xF0, DC_SIZES = 12, AC_SIZES = 10 };

static void codes_of(const JHUFF_TBL *table, unsigned char has[256])
{
  int count = 0;

  memset(has, 0, 256);
  if (table == NULL)
    return;
  for (int length = 1; length <= 16; length++)
    count += table->bits[length];
  for (int i = 0; i < count && i < 256; i++)
    has[table->huffval[i]] = 1;
}

static const JHUFF_TBL *dc_table(const struct jpeg_decompress_struct *in, int c)
{
  return in->dc_huff_tbl_ptrs[in->comp_info[c].dc_tbl_no];
}

static const JHUFF_TBL *ac_table(const struct jpeg_decompress_struct *in, int c)
{
  return in->ac_huff_tbl_ptrs[in->comp_info[c].ac_tbl_no];
}

/* Whether the file has one table a component and kind, for the whole of it. */
static int has_tables(const struct jpeg_decompress_struct *in)
{
  return !in->progressive_mode && !in->arith_code && in->input_scan_number == 1 &&
         in->comps_in_scan == in->num_components;
}

/* Whether the tables can code whatever an 8-bit picture may hold, as the standard's example tables,
 * which most cameras use, can. */
static int tables_are_complete(const struct jpeg_decompress_struct *in)
{
  unsigned char has[256];

  if (!has_tables(in))
    return 0;
  for (int c = 0; c < in->num_components; c++) {
    codes_of(dc_table(in, c), has);
    for (int size = 0; size < DC_SIZES; size++)
      if (!has[size])
        return 0;
    codes_of(ac_table(in, c), has);
    if (!has[END_OF_BLOCK] || !has[SIXTEEN_ZEROES])
      return 0;
    for (int run = 0; run < 16; run++)
      for (int size = 1; size <= AC_SIZES; size++)
        if (!has[run << 4 | size])
          return 0;
  }
  return 1;
}

/* Whether each AC code of a part encoded with best tables is in the file's tables. */
static int tables_cover(const struct jpeg_decompress_struct *in,
                        const struct jpeg_decompress_struct *part)
{
  unsigned char has[256], needs[256];

  if (!has_tables(in))
    return 0;
  for (int c = 0; c < in->num_components; c++) {
    codes_of(ac_table(in, c), has);
    codes_of(ac_table(part, c), needs);
    for (int i = 0; i < 256; i++)
      if (needs[i] && !has[i])
        return 0;
  }
  return 1;
}

/* Marks the sizes of the DC differences that writing a component will meet: of each block to the one
 * before it in its scan, which starts anew at a restart marker. */
static void dc_sizes_of(j_decompress_ptr in, jvirt_barray_ptr coefficients, int c,
                        unsigned char needs[256])
{
  const jpeg_component_info *component = &in->comp_info[c];
  /* A scan of one component has MCUs of one block. */
  JDIMENSION wide = in->comps_in_scan == 1 ? 1 : (JDIMENSION)component->h_samp_factor;
  JDIMENSION high = in->comps_in_scan == 1 ? 1 : (JDIMENSION)component->v_samp_factor;
  unsigned int until_restart = in->restart_interval;
  int last = 0;

  memset(needs, 0, 256);
  needs[0] = 1; /* blocks beyond the picture's edge repeat the one before */
  for (JDIMENSION top = 0; top < component->height_in_blocks; top += high) {
    JDIMENSION rows = component->height_in_blocks - top < high ? component->height_in_blocks - top : high;
    JBLOCKARRAY blocks = (*in->mem->access_virt_barray)((j_common_ptr)in, coefficients, top, rows, FALSE);
    for (JDIMENSION left = 0; left < component->width_in_blocks; left += wide) {
      if (in->restart_interval != 0 && until_restart-- == 0) {
        until_restart = in->restart_interval - 1;
        last = 0;
      }
      for (JDIMENSION y = 0; y < rows; y++) {
        for (JDIMENSION x = left; x < left + wide && x < component->width_in_blocks; x++) {
          int difference = blocks[y][x][0] - last;
          int size = 0;
          for (int rest = difference < 0 ? -difference : difference; rest != 0; rest >>= 1)
            size++;
          needs[size] = 1;
          last = blocks[y][x][0];
        }
      }
    }
  }
}

/* Whether the tables can code all coefficients as they are now, given that they have the AC codes of
 * the blocks that changed. */
static int tables_suffice(j_decompress_ptr in, jvirt_barray_ptr *coefficients)
{
  unsigned char has[256], needs[256];

  if (!has_tables(in))
    return 0;
  if (tables_are_complete(in))
    return 1;
  for (int c = 0; c < in->num_components; c++) {
    codes_of(ac_table(in, c), has);
    if (!has[END_OF_BLOCK]) /* the file might have ended its blocks in an unusual way */
      return 0;
    codes_of(dc_table(in, c), has);
    dc_sizes_of(in, coefficients[c], c, needs);
    for (int i = 0; i < 256; i++)
      if (needs[i] && !has[i])
        return 0;
  }
  return 1;
}

static void copy_table(j_compress_ptr out, JHUFF_TBL **to, const JHUFF_TBL *from)
{
  if (*to == NULL)
    *to = jpeg_alloc_huff_table((j_common_ptr)out);
  memcpy((*to)->bits, from->bits, sizeof from->bits);
  memcpy((*to)->huffval, from->huffval, sizeof from->huffval);
  (*to)->sent_table = FALSE;
}

static void copy_tables(const struct jpeg_decompress_struct *in, j_compress_ptr out)
{
  for (int c = 0; c < in->num_components; c++) {
    int dc = in->comp_info[c].dc_tbl_no, ac = in->comp_info[c].ac_tbl_no;
    out->comp_info[c].dc_tbl_no = dc;
    out->comp_info[c].ac_tbl_no = ac;
    copy_table(out, &out->dc_huff_tbl_ptrs[dc], in->dc_huff_tbl_ptrs[dc]);
    copy_table(out, &out->ac_huff_tbl_ptrs[ac], in->ac_huff_tbl_ptrs[ac]);
  }
}
